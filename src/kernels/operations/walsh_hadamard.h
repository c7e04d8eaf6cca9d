#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// values <- H_n values in place, n = values.size() a power of two: the unnormalised Walsh-Hadamard transform
/// in natural order, H_1 = (1), H_2n = [[H_n, H_n], [H_n, -H_n]]. H is symmetric and H H = n I. n log2 n
/// additions; threads share a large transform of f32. Errors: invalid for other sizes.
void walsh_hadamard(std::span<float> values);
void walsh_hadamard(std::span<double> values);

/// The same one stage after the other: used by walsh_hadamard for f64; gives the same bits for f32.
template <class T>
void walsh_hadamard_stages(std::span<T> values) {
  for (size_t half = 1; half < values.size(); half *= 2) {
    for (size_t i = 0; i < values.size(); ++i) {
      if ((i & half) != 0) continue;
      const T a = values[i], b = values[i + half];
      values[i] = a + b;
      values[i + half] = a - b;
    }
  }
}

/// The same by definition, H[i][j] = (-1)^popcount(i & j); n^2 additions.
void walsh_hadamard_reference(std::span<double> values);

}  // namespace lowrank
