#pragma once

#include <cstdint>

namespace lowrank {

/// The constants of an AdamW step that all values of a group share:
///   g = gradient * factor;  m += (1 - b1) (g - m);  v = b2 v + (1 - b2) g^2
///   p = p decay - rate m / (sqrt(v) inverse_root + epsilon)
/// with decay = 1 - lr wd, rate = lr / (1 - b1^t), inverse_root = 1 / sqrt(1 - b2^t).
struct AdamWStep {
  float factor;
  float rest1;  ///< 1 - b1
  float beta2, rest2;
  float decay, rate, inverse_root, epsilon;
};

/// Values of one group, all f32; each is a row of its own.
struct AdamWTask {
  float* parameters;
  const float* gradient;
  float *m, *v;
  AdamWStep step;
};

}  // namespace lowrank
