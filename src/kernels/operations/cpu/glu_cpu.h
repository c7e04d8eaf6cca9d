#pragma once

#include <cstdint>

#include "kernels/operations/glu.h"

namespace lowrank {

/// Rows [begin, end) of gate(g) * u from gate_up [T, 2f] to out [T, f]; bf16 values are given as their bits.
void glu_forward_cpu(const void* gate_up, void* out, int64_t width, Gate gate, bool bf16, int64_t begin,
                     int64_t end);

/// Rows of the gradient for gate_up [T, 2f] from that of the output [T, f]: dg = dy u gate'(g),
/// du = dy gate(g).
void glu_backward_cpu(const void* gate_up, const void* d_out, void* d_gate_up, int64_t width, Gate gate,
                      bool bf16, int64_t begin, int64_t end);

}  // namespace lowrank
