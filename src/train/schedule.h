#pragma once

#include <cstdint>
#include <string>

namespace lowrank {

/// Learning rate over a run: linear warm-up, then constant, linear to zero, or half a cosine to zero, as in
/// transformers' get_*_schedule_with_warmup.
struct Schedule {
  std::string shape = "linear";  ///< constant, linear, cosine
  int64_t warmup = 0;            ///< steps
  int64_t steps = 0;             ///< of the whole run

  /// Factor on the peak rate at step `step`, counted from 0.
  double factor(int64_t step) const;
};

}  // namespace lowrank
