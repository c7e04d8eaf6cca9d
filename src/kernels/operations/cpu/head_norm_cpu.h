#pragma once

#include <cstdint>

namespace lowrank {

/// Rows of a head norm; bf16 values are given as their bits.
struct HeadNorm {
  const void* qkv;  ///< [T, columns]
  const float* query_weight;
  const float* key_weight;
  int64_t columns, heads, kv_heads, head_dim;
  float epsilon;
  bool bf16;
};

/// Rows [begin, end) of the result, [T, columns].
void head_norm_forward_cpu(const HeadNorm& op, void* out, int64_t begin, int64_t end);

/// Rows of the gradient for qkv from that of the result: dx = inv (g - n mean(g n)) with n = x inv,
/// g = d_out weight; the values' columns are copied.
void head_norm_backward_cpu(const HeadNorm& op, const void* d_out, void* d_qkv, int64_t begin, int64_t end);

}  // namespace lowrank
