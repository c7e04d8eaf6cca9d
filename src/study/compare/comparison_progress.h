#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/progress.h"
#include "report/smoothed.h"
#include "train/trainer.h"

namespace lowrank {

/// What a comparison shows while it goes on: which run it is, its steps, and the time left for all of them.
class ComparisonProgress {
 public:
  /// `work`: of all runs that are still to be done; that of a whole run is 1.
  explicit ComparisonProgress(double work) : work_(work), started_(monotonic_seconds()) {}

  /// A run begins, with this share of a whole run's work.
  void begin(const std::string& what, double share);
  void step(const StepResult& step, int64_t total);
  /// The run has ended; `result`: a line on it.
  void end(const std::string& result);

 private:
  std::optional<double> seconds_left(double share_done) const;

  double work_, done_ = 0, share_ = 0, started_;
  std::string what_;
  Smoothed loss_{0.9};
  std::optional<Progress> line_;
};

}  // namespace lowrank
