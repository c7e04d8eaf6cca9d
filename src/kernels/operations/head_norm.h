#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// RMSNorm of each query and each key head by itself (QK-norm; Henry et al. 2020, arXiv 2010.04245, in the
/// form of Qwen 3 and Gemma 3): x / sqrt(mean(x^2) + epsilon) * weight over head_dim columns. qkv [T, (heads
/// + 2 kv_heads) * head_dim] -> the same with the values copied; query_weight and key_weight [head_dim], f32
/// (f64 with f64 rows), may require a gradient.
at::Tensor head_norm(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                     int64_t heads, int64_t kv_heads, double epsilon);

/// The same from plain differentiable operations.
at::Tensor head_norm_reference(const at::Tensor& qkv, const at::Tensor& query_weight,
                               const at::Tensor& key_weight, int64_t heads, int64_t kv_heads, double epsilon);

}  // namespace lowrank
