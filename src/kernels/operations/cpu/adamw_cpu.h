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

/// Each value's result does not depend on its place in the vectors.
void adamw_step_cpu(float* p, const float* gradient, float* m, float* v, int64_t count,
                    const AdamWStep& step);

/// Sum of squares in f64: value i goes into partial sum i mod 32, then those are added in order; the same on
/// every target.
double squared_norm_cpu(const float* values, int64_t count);

}  // namespace lowrank
