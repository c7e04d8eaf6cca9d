#pragma once

#include <cstdint>

namespace lowrank {

/// A gated delta rule over packed sequences; bf16 values are given as their bits.
struct DeltaRule {
  const void* qkv;     ///< [T, columns()]
  const float* decay;  ///< [T, value_heads], logarithms
  const float* beta;   ///< [T, value_heads]
  const float* start;  ///< [sequences, value_heads, key_dim, value_dim] states before the first rows; null:
                       ///< zero
  const int64_t* offsets;  ///< [sequences + 1] rows; the first may be any
  const int64_t* parents;  ///< [sequences] an earlier sequence whose last state each one starts from, -1:
                           ///< none; null: none has
  int64_t sequences, key_heads, value_heads, key_dim, value_dim;
  bool bf16;

  int64_t columns() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
  int64_t rows() const { return offsets[sequences]; }  ///< that of the end
  int64_t state_size() const { return key_dim * value_dim; }
  int64_t shared() const { return value_heads / key_heads; }
  int64_t parent(int64_t sequence) const { return parents ? parents[sequence] : -1; }
  /// Sequences [first, end) alone; without parents.
  DeltaRule part(int64_t first, int64_t end) const {
    DeltaRule own = *this;
    own.offsets += first;
    own.sequences = end - first;
    if (start) own.start += first * value_heads * state_size();
    return own;
  }
};

/// The value heads of key head `head`: out [T, value_heads * value_dim] of qkv's type, and, unless null, the
/// states after the last rows, shaped as `start`.
void delta_rule_forward_cpu(const DeltaRule& op, int64_t head, void* out, float* end);

/// The gradients of key head `head` and its value heads; the passes between chunks are computed again.
struct DeltaRuleGradients {
  const void* d_out;  ///< of qkv's type
  void* d_qkv;
  float *d_decay, *d_beta;
};
void delta_rule_backward_cpu(const DeltaRule& op, int64_t head, const DeltaRuleGradients& gradients);

}  // namespace lowrank
