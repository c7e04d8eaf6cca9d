#pragma once

#include <cstdint>

namespace lowrank {

/// A norm of heads with a gate; bf16 values are given as their bits.
struct GatedNorm {
  const void* x;     ///< [T, columns]
  const void* gate;  ///< [T, columns], rows gate_stride values apart
  const float* weight;
  int64_t columns, gate_stride, head_dim;
  float epsilon;
  bool bf16;
};

/// Rows [begin, end) of the result, [T, columns].
void gated_norm_forward_cpu(const GatedNorm& op, void* out, int64_t begin, int64_t end);

/// Rows of the gradients of x and gate, [T, columns], from that of the result.
void gated_norm_backward_cpu(const GatedNorm& op, const void* d_out, void* d_x, void* d_gate, int64_t begin,
                             int64_t end);

}  // namespace lowrank
