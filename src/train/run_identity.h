#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "peft/adapter_file.h"
#include "text/dataset.h"
#include "train/run_plan.h"

namespace lowrank {

/// What the numbers of a run depend on: two runs with the same identity take the same steps to the bit.
struct RunInputs {
  const Checkpoint& base;
  const Adapter& adapter;  ///< as the run starts: initialised, or read from --init-adapter
  std::span<const Example> train, evaluation;
  RunPlan plan;
  nlohmann::json options;  ///< values by name of those that the numbers depend on
  std::string program;     ///< its version
};

/// A run's identity as one object: numbers and texts as they are, fingerprints of what is large (each byte of
/// the base's tensors among it), number of threads and what the processor has.
class RunIdentity {
 public:
  /// Takes all but the base, which must outlive this, as it is now: the adapter will train.
  explicit RunIdentity(const RunInputs& inputs);
  /// The first call reads the whole base.
  const nlohmann::json& whole();

 private:
  const Checkpoint& base_;
  nlohmann::json identity_;
};

/// What differs between the identity that was saved and that of a run that would go on from there, for
/// people, a clause each: "lr was 0.001 and is 0.002".
std::vector<std::string> identity_differences(const nlohmann::json& saved, const nlohmann::json& now);

}  // namespace lowrank
