#pragma once

#include "metrics/texts.h"

namespace lowrank::metrics {

/// What is taken from both texts before they are compared, in this order: as the options of `evaluate`'s
/// exact_match, from which these have their names.
struct ExactMatchOptions {
  bool ignore_case = false;
  bool ignore_punctuation = false;  ///< of ASCII
  bool ignore_numbers = false;      ///< the digits 0 to 9
};

/// The share of predictions that equal one of their references, 0 to 1. Errors: as check_texts.
double exact_match(std::span<const std::string> predictions, std::span<const References> references,
                   const ExactMatchOptions& options = {});

}  // namespace lowrank::metrics
