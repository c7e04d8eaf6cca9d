#pragma once

#include <cstdint>

namespace lowrank {

/// The function on the gate of a gated linear unit: silu(g) = g / (1 + exp(-g)), GELU, g (1 + erf(g / sqrt
/// 2)) / 2, or its tanh form, g (1 + tanh(sqrt(2/pi) (g + 0.044715 g^3))) / 2 (Hendrycks and Gimpel 2016,
/// arXiv 1606.08415).
enum class Gate { silu, gelu_tanh, gelu };

/// Rows of gate(g) * u; bf16 values are given as their bits.
struct GluForward {
  const void* gate_up;  ///< [T, 2 width]
  void* out;            ///< [T, width]
  int64_t width;
  Gate gate;
  bool bf16;
};

/// Rows of its gradient: dg = dy u gate'(g), du = dy gate(g).
struct GluBackward {
  const void* gate_up;  ///< [T, 2 width]
  const void* d_out;    ///< [T, width]
  void* d_gate_up;      ///< [T, 2 width]
  int64_t width;
  Gate gate;
  bool bf16;
};

/// Rows of a rotation: the first `rotated` heads of each row [columns] are rotated by the row's angles, the
/// rest is copied. `sign` -1 rotates back. bf16 values are given as their bits.
struct Rotation {
  const void* in;
  void* out;
  const float *cos, *sin;  ///< [T, half]
  int64_t columns, rotated, head_dim, half;
  float sign;
  bool bf16;
  bool adjacent;  ///< pairs are neighbouring columns, (2i, 2i + 1), not (i, i + half)
};

/// out[i] = in[i] * kept where draw i of Philox4x32-10 (key: the seed, counter: i / 4, lane i mod 4) is at
/// least `threshold`, else 0.
struct DropoutMask {
  uint64_t seed;
  uint32_t threshold;
  float kept;
};

/// Groups of four values with dropout, the last one with as many as are left; bf16 values are given as their
/// bits.
struct DropoutTask {
  const void* in;
  void* out;
  int64_t values;
  DropoutMask mask;
  bool bf16;
};

/// Of what logits x [V] the cross-entropy is one, and with which distribution p: x_i = cap tanh(logit_i /
/// cap) if cap > 0, else the logits; p = (1 - smoothing) onehot(target) + smoothing / V.
struct SoftmaxLossForm {
  float cap = 0, smoothing = 0;
};

/// Rows of logits [N, width]: log sum_j exp(x_j) - sum_j p_j x_j goes to `nll`; with `slopes` each row is
/// replaced by its gradient by the logits, of which that by x is softmax(x) - p. bf16 values are given as
/// their bits; sums are f32.
struct SoftmaxLoss {
  void* logits;
  const int64_t* targets;  ///< [N]
  float* nll;              ///< [N]
  int64_t width;
  bool slopes, bf16;
  SoftmaxLossForm form;
};

}  // namespace lowrank
