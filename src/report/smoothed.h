#pragma once

namespace lowrank {

/// Exponential moving average. The first values count as if the average had no past (as in TensorBoard and
/// Adam's moments).
class Smoothed {
 public:
  /// `memory` in [0, 1): the share that a step leaves of the average; 0: no smoothing.
  explicit Smoothed(double memory) : memory_(memory) {}

  /// Takes the next value; returns the average so far.
  double add(double value) {
    sum_ = memory_ * sum_ + (1 - memory_) * value;
    weight_ = memory_ * weight_ + (1 - memory_);
    return sum_ / weight_;
  }

 private:
  double memory_, sum_ = 0, weight_ = 0;
};

}  // namespace lowrank
