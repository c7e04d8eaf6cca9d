#pragma once

#include <cstdint>

namespace lowrank {

/// out[t] = the product of `w` [columns] with row t of x [rows, columns].
void exact_row_cpu(const float* w, const float* x, int64_t rows, int64_t columns, float* out);

}  // namespace lowrank
