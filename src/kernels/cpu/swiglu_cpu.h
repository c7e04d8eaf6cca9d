#pragma once

#include <cstdint>

namespace lowrank {

/// Rows [begin, end) of silu(g) * u from gate_up [T, 2f] to out [T, f]; bf16 values are given as their bits.
void swiglu_forward_cpu(const void* gate_up, void* out, int64_t width, bool bf16, int64_t begin, int64_t end);

/// Rows of the gradient for gate_up [T, 2f] from that of the output [T, f]:
/// dg = dy u s (1 + g (1 - s)), du = dy g s with s = 1 / (1 + exp(-g)).
void swiglu_backward_cpu(const void* gate_up, const void* d_out, void* d_gate_up, int64_t width, bool bf16,
                         int64_t begin, int64_t end);

}  // namespace lowrank
