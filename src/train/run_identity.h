#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/order/weighted_examples.h"
#include "model/checkpoint.h"
#include "peft/files/adapter_file.h"
#include "train/run_plan.h"

namespace lowrank {

/// What the numbers of a run depend on: two runs with the same identity take bit-identical steps.
struct RunInputs {
  const Checkpoint& base;
  const Adapter& adapter;  ///< as the run starts: initialised, or read from `init_adapter`
  const WeightedExamples& train;
  const ExampleStore& evaluation;
  RunPlan plan;
  nlohmann::json options;  ///< values, by name, of those that the numbers depend on
  std::string program;     ///< its version
};

/// A run's identity as one object: numbers and texts as they are, fingerprints of large inputs (including
/// every byte of the base's tensors), number of threads and processor features.
class RunIdentity {
 public:
  /// Captures everything except the base, and rows that are still being read, immediately, since training
  /// changes the adapter. The base must outlive this.
  explicit RunIdentity(const RunInputs& inputs);
  /// The first call reads the whole base, and waits until all rows are read; where a stop keeps that from
  /// happening, nothing is said of them. Errors: as EarlyExamples::wait.
  const nlohmann::json& whole();
  /// What is known without reading the base.
  const nlohmann::json& known() const { return identity_; }

 private:
  void add_early_rows();

  const Checkpoint& base_;
  std::shared_ptr<EarlyExamples> early_;  ///< until they are part of the identity
  nlohmann::json identity_;
};

/// A fingerprint of a base's configuration, and of the names, types, shapes and bytes of its tensors, of each
/// tensor the first `most_of_each`.
std::string fingerprint_of(const Checkpoint& base, size_t most_of_each = std::numeric_limits<size_t>::max());

/// False for the identity of a run that was stopped before all rows were read.
bool knows_rows(const nlohmann::json& identity);

/// Differences (for messages, one clause each) between a saved identity and that of a run that would resume
/// from there: "lr was 0.001 and is 0.002".
std::vector<std::string> identity_differences(const nlohmann::json& saved, const nlohmann::json& now);

}  // namespace lowrank
