#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// True where bf16_product computes x w^T: AVX512-BF16 without AMX, whose units oneDNN knows, bf16 operands
/// as they lie in memory (rows, or w's columns, of adjacent values; no packed w), enough rows and columns to
/// be worth a layout, an even inner size.
bool has_bf16_product(const at::Tensor& x, const at::Tensor& w);

/// x [T, k] times w [n, k] transposed, plus bias [n]: [T, n], summed in f32 and rounded once. w may be a
/// transposed view. The result does not depend on the number of threads.
at::Tensor bf16_product(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias);

}  // namespace lowrank
