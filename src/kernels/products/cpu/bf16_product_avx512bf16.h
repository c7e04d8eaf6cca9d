#pragma once

#include <cstdint>

#include "kernels/core/cpu/avx512bf16.h"
#include "kernels/products/cpu/matrix_product.h"

namespace lowrank {

/// Of bf16 as bit patterns, summed in the order of the inner index, rounded once. The inner size is even.
using Bf16Product = MatrixProduct<uint16_t>;

/// Columns of y that are computed together.
inline constexpr int64_t bf16_panel_columns = 32;

/// Computes rows [first_row, last_row) of the columns of the panels [first_panel, last_panel).
void bf16_product_avx512bf16(const Bf16Product& product, int64_t first_row, int64_t last_row,
                             int64_t first_panel, int64_t last_panel);

}  // namespace lowrank
