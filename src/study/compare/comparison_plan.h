#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/spec.h"
#include "study/benchmark/benchmark.h"
#include "study/compare/comparison_options.h"

namespace lowrank {

/// What a method would train, known without weights.
struct PlannedMethod {
  std::string label, method;
  int64_t trained = 0;  ///< parameters, without the label head's
  int64_t head = 0;
  double share = 0;
  int64_t context_rows = 0;
  std::vector<double> rates = {};
  int64_t search_runs = 0;  ///< short ones, before those of the seeds
  int64_t runs = 0;         ///< one for each seed
};

/// All runs of a comparison.
struct ComparisonPlan {
  ModelSpec spec;
  BenchmarkScoring scoring;
  std::vector<PlannedMethod> methods;

  /// The most context that a method takes.
  int64_t context_rows() const;
};

/// Plans the runs from configurations alone. `labels`: of the rows; a guess of two classes where they are not
/// known. Mistakes are added to `problems`, all at once: methods that do not fit the model, unknown
/// benchmarks and metrics, options that contradict each other.
ComparisonPlan plan_comparison(const ComparisonOptions& options, const std::optional<LabelSet>& labels,
                               std::vector<std::string>& problems);

/// The plan for programs and for people.
nlohmann::ordered_json json_of(const ComparisonPlan& plan, const ComparisonOptions& options);
std::string markdown_of(const ComparisonPlan& plan);

}  // namespace lowrank
