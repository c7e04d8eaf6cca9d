#pragma once

#include <cstdint>
#include <vector>

#include "kernels/operations/attention_schedule.h"

namespace lowrank {

/// Rows of storage type f32 or bf16: row i begins `stride * i` elements after `data`.
struct ConstRows {
  const void* data = nullptr;
  int64_t stride = 0;
};
struct MutableRows {
  void* data = nullptr;
  int64_t stride = 0;
};

/// Operands of attention (attention.h) for the CPU kernels. Keys and values: one entry per source, source 0
/// first.
struct AttentionOperands {
  AttentionShape shape;
  const AttentionPlan* plan = nullptr;
  bool bf16 = false;            ///< storage of all rows here and in AttentionGradients; else f32
  ConstRows q;                  ///< [T, heads*head_dim]
  std::vector<ConstRows> k, v;  ///< [rows, kv_heads*head_dim]
};

/// Writes out [T, heads*head_dim] at the plan's query rows and, unless null, lse [T, heads] contiguous: the
/// base-2 logarithm of the row's sum of exponentials. Other rows are left alone.
void attention_forward_cpu(const AttentionOperands& operands, MutableRows out, float* lse);

/// What the backward pass reads and writes besides the operands; null data: that gradient is not wanted.
struct AttentionGradients {
  ConstRows out, dout;              ///< [T, heads*head_dim]
  const float* lse = nullptr;       ///< from the forward pass
  MutableRows dq;                   ///< written at the plan's query rows
  std::vector<MutableRows> dk, dv;  ///< written at the rows of the schedule's pieces; both null or neither
};

/// dv = Pᵀ dout, dP = dout vᵀ, dS = P (dP - rowsum(dout out)), dq = scale dS k, dk = scale dSᵀ q, with P from
/// q, k and lse; dS times 1 - (s / c)^2 where scores s are capped at c. `schedule` is made with
/// backward_block_rows and wants[i] = (dk[i] is not null).
void attention_backward_cpu(const AttentionOperands& operands, const AttentionGradients& gradients,
                            const BackwardSchedule& schedule);

/// Maximum rows of a query block in the backward pass.
int64_t backward_block_rows(const AttentionShape& shape);

}  // namespace lowrank
