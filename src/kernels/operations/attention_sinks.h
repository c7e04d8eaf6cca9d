#pragma once

#include "kernels/operations/attention.h"

namespace lowrank {

/// `attention` with one more logit for each head in every softmax, sinks [heads] f32 (f64), neither scaled
/// nor masked, whose probability is dropped: a row's probabilities sum to less than 1 (gpt-oss, arXiv
/// 2508.10925). Differentiable in the sinks, too.
at::Tensor attention_with_sinks(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                const std::shared_ptr<const AttentionPlan>& plan, const AttentionShape& shape,
                                const at::Tensor& sinks);

/// The same with plain ATen operations, as attention_reference.
at::Tensor attention_with_sinks_reference(const at::Tensor& qkv, std::span<const KeyValue> extra,
                                          const std::shared_ptr<const AttentionPlan>& plan,
                                          const AttentionShape& shape, const at::Tensor& sinks);

}  // namespace lowrank
