#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "text/batch.h"

namespace lowrank {

/// The micro-batches of one step.
struct StepBatches {
  std::vector<Batch> batches;  ///< as the tokens lie in the data: methods have put nothing in
  int64_t tokens = 0;          ///< of their rows, however often the passes compute them
};

/// Where a run's batches come from. What a step gets is a function of the step, so that a run which was
/// stopped goes on as if it had not been.
struct BatchSource {
  virtual ~BatchSource() = default;

  /// Steps of one pass over the data; nothing where its length is not known.
  virtual std::optional<int64_t> steps_per_epoch() const = 0;

  /// What the step, counted from 0, trains on. A run asks in ascending order.
  virtual StepBatches batches(int64_t step) = 0;
};

}  // namespace lowrank
