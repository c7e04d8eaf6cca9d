#pragma once

#include <cstdint>
#include <span>

namespace lowrank {

/// values <- H_n values in place, n = values.size() a power of two: the unnormalised Walsh-Hadamard transform
/// in natural order, H_1 = (1), H_2n = [[H_n, H_n], [H_n, -H_n]]. H is symmetric and H H = n I. n log2 n
/// additions; threads share a large transform. Errors: invalid for other sizes.
void walsh_hadamard(std::span<float> values);
void walsh_hadamard(std::span<double> values);

/// The same by definition, H[i][j] = (-1)^popcount(i & j); n^2 additions.
void walsh_hadamard_reference(std::span<double> values);

}  // namespace lowrank
