#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// True if bf16_product computes x w^T: AVX512-BF16 (with AMX, by tiles), bf16 operands as they lie in memory
/// (contiguous rows, or columns of w; w not packed), enough rows and columns to be worth rearranging, an even
/// inner size.
bool has_bf16_product(const at::Tensor& x, const at::Tensor& w);

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], summed in f32 and rounded once. w may be a
/// transposed view. The result does not depend on the number of threads.
at::Tensor bf16_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias);

}  // namespace lowrank
