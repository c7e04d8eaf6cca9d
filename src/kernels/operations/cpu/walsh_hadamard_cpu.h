#pragma once

#include <cstdint>

namespace lowrank {

/// The Walsh-Hadamard transform (walsh_hadamard.h) of `count` values in place, count a power of two.
void walsh_hadamard_cpu(float* values, int64_t count);

/// The transform of each of `columns` columns of a matrix whose `rows` rows, 2 to 16 and a power of two,
/// begin `stride` values apart.
void walsh_hadamard_columns_cpu(float* values, int64_t stride, int64_t rows, int64_t columns);

}  // namespace lowrank
