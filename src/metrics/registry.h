#pragma once

#include <string>
#include <string_view>

#include "metrics/texts.h"

namespace lowrank::metrics {

/// What a metric compares.
enum class MetricInput {
  texts,   ///< texts with lists of references
  labels,  ///< labels, as text
  numbers
};

/// A score, and for the metrics of sacrebleu the signature that says how it was computed.
struct Scored {
  double score = 0;
  std::string signature;
};

/// A metric with its default options. Of the functions, it has the one of its input.
struct MetricInfo {
  std::string_view name;
  std::string_view description;  ///< with the range of its values
  MetricInput input = MetricInput::texts;
  bool higher_is_better = true;
  Scored (*of_texts)(std::span<const std::string>, std::span<const References>) = nullptr;
  double (*of_labels)(std::span<const std::string>, std::span<const std::string>) = nullptr;
  double (*of_numbers)(std::span<const double>, std::span<const double>) = nullptr;
};

/// All metrics, in the order in which documents list them.
std::span<const MetricInfo> all_metrics();

/// The metric of a name. Errors: not_found, with the names that there are.
const MetricInfo& metric_of_name(std::string_view name);

}  // namespace lowrank::metrics
