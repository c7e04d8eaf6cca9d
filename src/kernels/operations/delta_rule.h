#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "kernels/operations/row_sequences.h"

namespace lowrank {

/// Heads of a delta rule; several value heads, side by side, may share a key head.
struct DeltaRuleShape {
  int64_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;

  int64_t columns() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
};

/// The gated delta rule (Yang et al. 2024, arXiv 2412.06464). For each value head, with q and k of its key
/// head divided by sqrt(sum of squares + 1e-6), q also by sqrt(key_dim), and S [key_dim, value_dim] from 0:
///   S = exp(decay_t) S;  e = beta_t (v_t - S^T k_t);  S = S + k_t e^T;  o_t = S^T q_t.
/// qkv [T, key_heads * key_dim | the same | value_heads * value_dim], f32, bf16 (f64) -> [T, value_heads *
/// value_dim] of its type; decay (at most 0) and beta [T, value_heads], f32 (f64). A sequence starts from its
/// parent's last state, else from `states` [S, value_heads, key_dim, value_dim] (f32; of f64 rows f64), else,
/// or where those are undefined, from zero. `states` then holds the last ones; no gradient flows through it.
/// Rows are worked off in chunks of 64 with f32 sums; the backward pass keeps only the operands.
at::Tensor delta_rule(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                      const DeltaRuleShape& shape, const RowSequences& sequences, const at::Tensor& states);

/// The same, row by row, from plain differentiable operations.
at::Tensor delta_rule_reference(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                                const DeltaRuleShape& shape, const RowSequences& sequences,
                                const at::Tensor& states);

/// The same in chunks of 64 rows, from plain differentiable operations: for devices without a kernel. What is
/// kept for the gradient grows by a state per chunk, not per row.
at::Tensor delta_rule_in_chunks(const at::Tensor& qkv, const at::Tensor& decay, const at::Tensor& beta,
                                const DeltaRuleShape& shape, const RowSequences& sequences,
                                const at::Tensor& states);

}  // namespace lowrank
