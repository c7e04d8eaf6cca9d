#pragma once

#include <memory>
#include <span>

#include <ATen/core/Tensor.h>

#include "kernels/operations/attention_plan.h"

namespace lowrank {

/// A key source in addition to qkv (prefix, cache): k, v [rows, kv_heads*head_dim] of qkv's type, any
/// row stride, keys already rotated. Gradients are computed only for those that require one.
struct KeyValue {
  at::Tensor k, v;
};

/// Attention of packed rows: out[t,h] = sum_p softmax_p(scale q[t,h]·k[p,h']) v[p,h'] (of capped scores where
/// the shape caps them: Gemma Team 2024, arXiv 2408.00118, after Bello et al. 2016) over the keys that
/// `plan` gives row t and that are visible to it (attention_plan.h), h' = h / (heads/kv_heads). qkv [T,
/// (heads + 2 kv_heads) head_dim]: q, k, v side by side, already rotated; key source 0. extra: sources 1, 2,
/// …. Returns [T, heads*head_dim] of qkv's type. Rows outside the plan, and rows that see no key, are zero.
/// f32 and bf16 storage with f32 arithmetic; other types use the reference, and so do other devices than the
/// CPU where flash_attention.h does not compute a plan. Memory grows linearly with T. The
/// result's bits depend neither on the number nor on the order of threads. No second derivative (Error of
/// kind unsupported). Flash attention: Dao et al. 2022, arXiv 2205.14135.
at::Tensor attention(const at::Tensor& qkv, std::span<const KeyValue> extra,
                     const std::shared_ptr<const AttentionPlan>& plan, const AttentionShape& shape);

/// The same with plain ATen operations, differentiable by autograd; f64 stays f64; everything else is
/// computed in f32. On other devices than the CPU, runs that see their own rows alone, and single queries
/// that see all of their keys, go through libtorch's own attention, in qkv's type.
at::Tensor attention_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                               const std::shared_ptr<const AttentionPlan>& plan, const AttentionShape& shape);

}  // namespace lowrank
