#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "study/compare/comparison_plan.h"
#include "study/compare/run_record.h"

namespace lowrank {

/// A mean over runs, and how much they differ.
struct Spread {
  double mean = 0;
  std::optional<double> deviation;  ///< of the sample (n - 1); of a single run there is none
  int64_t count = 0;
};

/// Mean and standard deviation; nullopt for no values.
std::optional<Spread> spread_of(const std::vector<double>& values);

/// A short run of a search.
struct TriedRun {
  int64_t round = 0;  ///< from 0
  RunRecord record;
};

/// "highest" or "lowest" where the rate is that of several, so that a better one may lie beyond; else empty.
std::string place_among(double rate, const std::vector<double>& rates);

/// What a comparison has found so far.
struct ComparisonReport {
  std::string model, benchmark;
  /// Of the asked rows, in the order of the runs' records, and whether higher values are better.
  std::vector<std::pair<std::string, bool>> metrics;
  std::vector<PlannedMethod> methods;  ///< in the order of the table
  std::vector<RunRecord> runs;         ///< also that of the base
  std::vector<TriedRun> searches;
  nlohmann::ordered_json settings;
  bool finished = false;
};

/// A line of the table: the means of a method's runs. Runs that diverged count only as such.
struct MethodSummary {
  std::string label, method;
  int64_t trained = 0, head = 0, context_rows = 0;
  double share = 0, learning_rate = 0;
  int64_t runs = 0, diverged = 0;
  std::vector<std::pair<std::string, std::optional<Spread>>> metrics;
  std::optional<Spread> loss, seconds, tokens_per_second, peak_bytes, adapter_bytes, latency, merged_latency,
      forgetting;
};

/// One for each method that has a run, in order, and for the base if it was asked.
std::vector<MethodSummary> summaries_of(const ComparisonReport& report);

/// The same as JSON, with all runs.
nlohmann::ordered_json json_of(const ComparisonReport& report);

}  // namespace lowrank
