#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "kernels/blocks/block_matrix.h"

namespace lowrank {

/// What a product with blocks does to its input.
enum class BlockInput {
  int8,  ///< each 32 values are rounded to 8 bits: d = max|x| / 127, q = round(x / d), as GGML's Q8_0 and
         ///< Q8_1 do
  exact  ///< nothing: the stored values are multiplied as f32
};

/// True if this processor multiplies blocks of the type with int8 inputs (AVX2 or AVX512-VNNI).
bool has_int8_blocks(DType dtype);

/// x [T, in] (f32 or bf16) times w transposed, plus `bias` [out]: [T, out] in x's type, without gradient.
/// Blocks are read where they lie, and nothing of w is kept. A block q with scale d and minimum m gives
///   sum_i (d q_i + m) x_i = d d_x sum_i q_i x'_i + m sum_i d_x x'_i  for  x_i ~ d_x x'_i,
/// with exact sums of integers; each value of y is summed in f32. Types without int8 kernels are multiplied
/// exactly. An input with infinities or NaN gives NaN.
at::Tensor block_product(const at::Tensor& x, const BlockMatrix& w, const std::optional<at::Tensor>& bias,
                         BlockInput input);

/// The same in f64 from plain loops, rounded once, with x as the kernel rounds it.
at::Tensor block_product_reference(const at::Tensor& x, const BlockMatrix& w,
                                   const std::optional<at::Tensor>& bias, BlockInput input);

}  // namespace lowrank
