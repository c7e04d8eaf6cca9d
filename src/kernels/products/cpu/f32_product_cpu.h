#pragma once

#include "kernels/products/cpu/matrix_product.h"

namespace lowrank {

using F32Product = MatrixProduct<float>;

/// The fewest columns of y that are laid out together: a multiple of what any target computes together.
inline constexpr int64_t f32_panel_columns = 48;

/// True if the target that calls go to has vectors (AVX-512, AVX2, NEON); without them a library is faster.
bool f32_product_has_vectors_cpu();

/// Computes rows [first_row, last_row) of the columns of the panels [first_panel, last_panel). Each value of
/// y is summed over its inner values in chunks of up to 1,024, each in order, whatever the rows and panels.
void f32_product_cpu(const F32Product& product, int64_t first_row, int64_t last_row, int64_t first_panel,
                     int64_t last_panel);

}  // namespace lowrank
