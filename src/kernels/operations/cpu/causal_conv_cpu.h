#pragma once

#include <cstdint>

namespace lowrank {

/// A causal convolution; bf16 values are given as their bits.
struct CausalConv {
  const void* x;           ///< [T, channels]
  const float* weight;     ///< [taps, channels], the present row's last
  const int64_t* offsets;  ///< [sequences + 1]
  const int64_t* history;  ///< [sequences, taps - 1] rows before each sequence's first, the nearest first;
                           ///< -1: none
  const void* before;      ///< [sequences, taps - 1, channels] what stands there then; null: zero
  int64_t sequences, channels, taps;
  bool silu, bf16;
};

/// Channels [begin, end) of the result, [T, channels].
void causal_conv_forward_cpu(const CausalConv& op, void* out, int64_t begin, int64_t end);

/// Channels [begin, end) of the gradients for x, [T, channels] of its type, and, unless null, for the weight,
/// [taps, channels].
void causal_conv_backward_cpu(const CausalConv& op, const void* d_out, void* d_x, float* d_weight,
                              int64_t begin, int64_t end);

}  // namespace lowrank
