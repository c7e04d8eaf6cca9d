#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "train/batch_source.h"
#include "train/options.h"

namespace lowrank {

/// How long a run is.
struct RunPlan {
  int64_t total_steps = 0;
  std::optional<int64_t> steps_per_epoch;  ///< of the first pass; nullopt if the data's length is unknown
  /// Steps until the end of each pass of the run, where passes are not of the same length; else empty.
  std::vector<int64_t> epoch_ends = {};

  /// Passes over the data after `step` steps; 0 if the length of a pass is unknown.
  double epoch(int64_t step) const;
  /// Whether a pass ends with this step (counted from 1); false if the length of a pass is unknown.
  bool ends_epoch(int64_t step) const;
};

/// The plan of a run over data with this many steps per pass. Errors: invalid if neither `steps` nor the
/// data's length determines the end.
RunPlan plan_run(const TrainOptions& options, std::optional<int64_t> steps_per_epoch);
/// Also where passes differ in length. Errors: also invalid for a run of more than 2^24 such passes;
/// interrupted.
RunPlan plan_run(const TrainOptions& options, BatchSource& source);

}  // namespace lowrank
