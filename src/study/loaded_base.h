#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "peft/files/adapter_file.h"
#include "peft/files/side_by_side.h"
#include "session/session.h"

namespace lowrank {

/// The base of many runs: its weights stay loaded from one adapter to the next as long as the adapters use
/// its tensors in the same way.
class LoadedBase {
 public:
  LoadedBase(SessionOptions options, std::shared_ptr<const Checkpoint> checkpoint);

  /// An adapter with the initial values of this seed, and `model()` as it needs it. Errors: as make_adapter,
  /// load_model and Method::initialise.
  Adapter prepare(ChosenMethod chosen, uint64_t seed);
  /// The model for an adapter whose plan is known, or for none (null).
  const Model& model_for(const TrainPlan* plan);

  /// What was loaded last.
  const Model& model() const { return *model_; }
  const std::shared_ptr<const Checkpoint>& checkpoint() const { return checkpoint_; }
  const SessionOptions& options() const { return options_; }

 private:
  SessionOptions options_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
  std::map<std::string, TensorUse> uses_;  ///< how model_ holds its tensors
};

}  // namespace lowrank
