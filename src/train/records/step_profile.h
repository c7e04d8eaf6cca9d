#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/op_profile.h"

namespace lowrank {

/// How long each operation of a run's steps takes.
class StepProfile {
 public:
  /// The result of `take`, which takes a step and tells its `seconds`. The first step creates kernels and
  /// buffers that later steps reuse; it is not counted.
  template <class Take>
  auto of(const Take& take) {
    if (!std::exchange(warmed_up_, true)) return take();
    const ProfileScope scope(profile_);
    auto found = take();
    ++steps_;
    seconds_ += found.seconds;
    return found;
  }

  /// The operations that took at least a thousandth of the time, longest first, as lines of a table with a
  /// heading: name, calls and milliseconds per step, share of the time, GFLOP/s of matrix products. The last
  /// line has what no operation accounts for. Empty if no step was counted.
  std::vector<std::string> table() const;

 private:
  OpProfile profile_;
  bool warmed_up_ = false;
  int64_t steps_ = 0;
  double seconds_ = 0;  ///< of all steps together
};

}  // namespace lowrank
