#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/batch.h"

namespace lowrank {

/// The micro-batches of one step, or of a rank's share of it, which may be none.
struct StepBatches {
  std::vector<Batch> batches;  ///< as in the data, before a method's layout inserts anything
  int64_t tokens = 0;          ///< of their examples, however often the passes compute them
  /// The number of each micro-batch in the step, where these are a rank's share of them; empty: 0, 1, ...
  std::vector<int64_t> numbers = {};
  /// True where each rank has all batches of compared texts, whose texts the ranks divide; one of them counts
  /// the tokens.
  bool divided_texts = false;
  /// Passes over the data after this step, where that is not the step's share of those in a pass.
  std::optional<double> epoch = {};
};

/// Where a run's batches come from. A step's batches depend only on its number, so that a resumed run
/// continues as if it had never stopped.
struct BatchSource {
  virtual ~BatchSource() = default;

  /// Steps of each pass over the data; nullopt if they are unknown or not as many in each.
  virtual std::optional<int64_t> steps_per_epoch() const = 0;
  /// Steps of one pass, counted from 0; nullopt if they are unknown.
  virtual std::optional<int64_t> steps_in(int64_t epoch) = 0;

  /// What the step (counted from 0) trains on. A run asks for steps in ascending order.
  virtual StepBatches batches(int64_t step) = 0;
};

}  // namespace lowrank
