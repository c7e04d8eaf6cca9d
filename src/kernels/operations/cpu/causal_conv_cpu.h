#pragma once

#include <cstdint>

namespace lowrank {

/// A causal convolution; bf16 values are given as their bits.
struct CausalConv {
  const void* x;           ///< [T, channels], rows `stride` values apart, like the gates
  const void* in_gate;     ///< multiplies x; null: nothing does
  const void* out_gate;    ///< multiplies the result; null: nothing does
  const float* weight;     ///< [taps, channels], the present row's last
  const int64_t* offsets;  ///< [sequences + 1]
  const int64_t* history;  ///< [sequences, taps - 1] rows before each sequence's first, the nearest first;
                           ///< -1: none
  const void* before;      ///< [sequences, taps - 1, channels] what stands there then; null: zero
  int64_t sequences, channels, taps, stride;
  bool silu, bf16;
};

/// Channels [begin, end) of the result, [T, channels].
void causal_conv_forward_cpu(const CausalConv& op, void* out, int64_t begin, int64_t end);

/// The gradients of what a convolution has; of its type, rows `stride` values apart.
struct CausalConvGradients {
  const void* d_out;  ///< [T, channels]
  void *d_x, *d_in_gate, *d_out_gate;
  float* d_weight;  ///< [taps, channels]; null: not wanted
  int64_t stride;
};
/// Their channels [begin, end).
void causal_conv_backward_cpu(const CausalConv& op, const CausalConvGradients& to, int64_t begin,
                              int64_t end);

}  // namespace lowrank
