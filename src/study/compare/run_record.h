#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// An answer of a run to a row.
struct SampleAnswer {
  std::string prompt, reference, answer;
};

/// A value of a curve.
struct CurvePoint {
  int64_t step = 0;
  double value = 0;
};

/// What was measured of a run. Numbers that were not are empty.
struct RunRecord {
  std::string label, method;
  int64_t seed = 0;
  double learning_rate = 0;
  std::string problem;  ///< why it diverged or failed; empty: it did not
  int64_t steps = 0, tokens = 0;
  int64_t trained = 0;  ///< parameters, without the label head's
  int64_t head = 0;     ///< parameters of a label head
  double share = 0;     ///< trained parameters per parameter of the base
  int64_t context_rows = 0;
  double seconds = 0;    ///< of the steps
  int64_t together = 1;  ///< runs that shared the steps' passes; then `seconds` is a share of their time
  int64_t peak_bytes = 0;
  std::optional<int64_t> adapter_bytes;
  std::optional<double> loss_before, loss;                  ///< on the validation rows
  std::optional<double> general_loss_before, general_loss;  ///< on the general text
  std::optional<double> latency, merged_latency;            ///< seconds per new token, batch 1
  /// By the name of the asked rows and of the metric.
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<CurvePoint> curve, evaluations;  ///< training loss; validation loss
  std::vector<SampleAnswer> samples;

  /// What became of a run with a problem: it "diverged", or "failed" before its first step was over.
  const char* failure() const { return steps == 0 ? "failed" : "diverged"; }
  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  /// How much worse it knows the general text than the base.
  std::optional<double> forgetting() const;
};

nlohmann::ordered_json json_of(const RunRecord& record);

/// What `json_of` wrote. Errors: corrupt, with `where`.
RunRecord run_record_of(const nlohmann::json& json, const std::string& where);

}  // namespace lowrank
