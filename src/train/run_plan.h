#pragma once

#include <cstdint>
#include <optional>

#include "train/options.h"

namespace lowrank {

/// How long a run is.
struct RunPlan {
  int64_t total_steps = 0;
  std::optional<int64_t> steps_per_epoch;  ///< nullopt if the data's length is unknown

  /// Passes over the data after `step` steps; 0 if the length of a pass is unknown.
  double epoch(int64_t step) const;
};

/// The plan of a run over data with this many steps per pass. Errors: invalid if neither `steps` nor the
/// data's length determines the end.
RunPlan plan_run(const TrainOptions& options, std::optional<int64_t> steps_per_epoch);

}  // namespace lowrank
