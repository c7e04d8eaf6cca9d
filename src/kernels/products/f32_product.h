#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// True if f32_product computes x w^T: a processor with vectors, f32 operands as they lie in memory
/// (contiguous rows, or columns of w; w not packed), enough rows and columns to be worth rearranging.
bool has_f32_product(const at::Tensor& x, const at::Tensor& w);

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], of f32, without gradient. w may be a transposed
/// view. The result does not depend on the number of threads.
at::Tensor f32_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias);

}  // namespace lowrank
