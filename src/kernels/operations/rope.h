#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Cosines and sines of each row's angles, [T, rotary_dim / 2] f32.
struct RopeTable {
  at::Tensor cos, sin;
  bool adjacent = false;     ///< pairs are neighbouring columns, (2i, 2i + 1), not (i, i + rotary_dim/2)
  at::Tensor query_factors;  ///< f32 [T] on the query heads after their rotation; undefined: 1
};

/// Rotary position embedding (Su et al. 2021, arXiv 2104.09864) in Hugging Face's convention: in the first
/// rotary_dim columns of each query and key head, (a, b) = (x[i], x[i + rotary_dim/2]) becomes (a cos - b
/// sin, b cos + a sin); with `adjacent`, (a, b) = (x[2i], x[2i + 1]). qkv [T, (heads + 2 kv_heads) *
/// head_dim] -> the same with values copied.
at::Tensor rope(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                int64_t head_dim);

/// The same from plain differentiable operations.
at::Tensor rope_reference(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                          int64_t head_dim);

}  // namespace lowrank
