#include "train/run_plan.h"

#include <cmath>

#include "base/error.h"

namespace lowrank {

double RunPlan::epoch(int64_t step) const {
  return steps_per_epoch ? static_cast<double>(step) / static_cast<double>(*steps_per_epoch) : 0;
}

RunPlan plan_run(const TrainOptions& options, std::optional<int64_t> steps_per_epoch) {
  if (options.steps) return {*options.steps, steps_per_epoch};
  check(steps_per_epoch.has_value(), ErrorKind::invalid,
        "rows whose number is not known make no epochs; give `steps`");
  return {static_cast<int64_t>(std::ceil(options.epochs * static_cast<double>(*steps_per_epoch))),
          steps_per_epoch};
}

}  // namespace lowrank
