#include "train/run_plan.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"

namespace lowrank {

double RunPlan::epoch(int64_t step) const {
  if (!epoch_ends.empty()) {
    const auto end = std::min(std::ranges::lower_bound(epoch_ends, step), epoch_ends.end() - 1);
    const int64_t first = end == epoch_ends.begin() ? 0 : *(end - 1);
    return static_cast<double>(end - epoch_ends.begin()) +
           static_cast<double>(step - first) / static_cast<double>(*end - first);
  }
  return steps_per_epoch ? static_cast<double>(step) / static_cast<double>(*steps_per_epoch) : 0;
}

bool RunPlan::ends_epoch(int64_t step) const {
  if (!epoch_ends.empty()) return std::ranges::binary_search(epoch_ends, step);
  return steps_per_epoch && step % *steps_per_epoch == 0;
}

RunPlan plan_run(const TrainOptions& options, std::optional<int64_t> steps_per_epoch) {
  if (options.steps) return {*options.steps, steps_per_epoch};
  check(steps_per_epoch.has_value(), ErrorKind::invalid,
        "rows whose number is not known make no epochs; give `steps`");
  return {static_cast<int64_t>(std::ceil(options.epochs * static_cast<double>(*steps_per_epoch))),
          steps_per_epoch};
}

RunPlan plan_run(const TrainOptions& options, BatchSource& source) {
  constexpr int64_t most_passes = 1 << 24;
  if (source.steps_per_epoch()) return plan_run(options, source.steps_per_epoch());
  if (!source.steps_in(0)) return plan_run(options, std::nullopt);
  RunPlan plan{0, source.steps_in(0)};
  int64_t end = 0;
  for (int64_t epoch = 0;; ++epoch) {
    const auto left = options.epochs - static_cast<double>(epoch);
    if (options.steps ? end >= *options.steps : left <= 0) break;
    throw_if_interrupted();
    check(epoch < most_passes, ErrorKind::invalid,
          "the run makes more than {} passes over the rows; give fewer `steps` or `epochs`", most_passes);
    const int64_t steps = source.steps_in(epoch).value_or(0);
    plan.total_steps =
        end + static_cast<int64_t>(std::ceil(std::min(left, 1.0) * static_cast<double>(steps)));
    end += steps;
    plan.epoch_ends.push_back(end);
  }
  if (options.steps) plan.total_steps = *options.steps;
  return plan;
}

}  // namespace lowrank
