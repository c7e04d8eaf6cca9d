#pragma once

#include "metrics/texts.h"

namespace lowrank::metrics {

struct ChrfOptions {
  int character_order = 6;
  int word_order = 0;        ///< 2 is chrF++
  int beta = 2;              ///< recall counts beta² times as much as precision
  bool lowercase = false;    ///< compare without case
  bool white_space = false;  ///< count white space as characters
  bool every_order = false;  ///< the mean over all orders of F, not F of means over those that occur
};

struct ChrfScore {
  double score = 0;       ///< 0 to 100
  std::string name;       ///< chrF2, chrF2++
  std::string signature;  ///< as sacrebleu's
};

/// chrF and chrF++ of a corpus (Popović, 2015 and 2017) as sacrebleu 2 computes them: F_beta of the means
/// over orders of precision and recall of n-grams of characters (and of words), summed over texts; of several
/// references, the one with the best F of its own counts. `every_order` is sacrebleu's eps_smoothing.
/// Errors: as check_texts; invalid for negative orders or none at all, and for a beta below 1.
ChrfScore chrf(std::span<const std::string> predictions, std::span<const References> references,
               const ChrfOptions& options = {});

/// The line that sacrebleu prints: "chrF2|signature = 59.73".
std::string chrf_line(const ChrfScore& score, int decimals = 2);

}  // namespace lowrank::metrics
