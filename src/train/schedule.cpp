#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lowrank {

double Schedule::factor(int64_t step) const {
  if (step < warmup) return static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup));
  if (shape == "constant") return 1;
  const double share =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  if (shape == "linear") return std::max(0.0, 1 - share);
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * share)));
}

}  // namespace lowrank
