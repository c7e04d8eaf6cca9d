#pragma once

#include <cstdint>

namespace lowrank {

/// Rows [begin, end) of a rotation: the first `rotated` heads of each row [columns] are rotated by the row's
/// angles, the rest is copied. `sign` -1 rotates back. bf16 values are given as their bits.
struct Rotation {
  const void* in;
  void* out;
  const float *cos, *sin;  ///< [T, half]
  int64_t columns, rotated, head_dim, half;
  float sign;
  bool bf16;
  bool adjacent;  ///< as in RopeTable
};
void rotate_cpu(const Rotation& op, int64_t begin, int64_t end);

}  // namespace lowrank
