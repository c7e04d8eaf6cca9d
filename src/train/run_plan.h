#pragma once

#include <cstdint>
#include <optional>

#include "train/options.h"

namespace lowrank {

/// How long a run is.
struct RunPlan {
  int64_t total_steps = 0;
  std::optional<int64_t> steps_per_epoch;  ///< nothing where the data's length is not known

  /// Passes over the data after so many steps; 0 where their length is not known.
  double epoch(int64_t step) const;
};

/// The plan of a run over data of so many steps. Errors: invalid where neither --steps nor the data's length
/// says when it ends.
RunPlan plan_run(const TrainOptions& options, std::optional<int64_t> steps_per_epoch);

}  // namespace lowrank
