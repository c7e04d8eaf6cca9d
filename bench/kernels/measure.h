#pragma once

#include <string>

#include "kernel_case.h"

namespace lowrank {

/// What one case took, seconds a call; ratio and share are medians over rounds in which kernel, reference and
/// limit ran in turn.
struct Measurement {
  std::string name;
  Work work;
  double ours = 0, reference = 0, limit = 0;
  double ratio = 0;        ///< reference / ours: how many times as fast we are
  double share = 0;        ///< limit / ours: how much of the machine's limit we reach
  bool disturbed = false;  ///< other programs took a core's time meanwhile; the figures mean little
};

/// Measures one case in about half a second, more where one call takes long. Error of kind invalid when the
/// two do not compute the same numbers.
Measurement measure(const KernelCase& kernel);

}  // namespace lowrank
