#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/low_rank_linear.h"

namespace lowrank {

struct TargetLoss {
  at::Tensor loss;  ///< scalar f32: sum of weight * nll, from which the gradient runs back through nll
  at::Tensor nll;   ///< [N] f32: negative log-likelihood of each target, differentiable
};

/// Cross-entropy at the target positions alone: logits = hidden[rows] W^T (+ patches), nll =
/// logsumexp(logits) - logits[target]. hidden [T, d]; rows, targets int64 [N]; weights f32 [N]; head [V, d]
/// row-major in the compute type, or in f32 where it trains. Losses and slopes are computed together in
/// chunks of at most 32 MB of logits, and the backward pass scales each row's by what comes for its loss; no
/// [N, V] exists. A head that trains takes its gradient, [V, d] f32, beside, for gradients in proportion to
/// `weights`; where others come, the chunks are computed once more. Chunks of a patched head are computed
/// again in the backward pass.
TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const at::Tensor& head, const std::vector<Patch>& patches);

/// The same from plain differentiable operations.
TargetLoss target_loss_reference(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                                 const at::Tensor& weights, const at::Tensor& head,
                                 const std::vector<Patch>& patches);

/// Logits (f32) of hidden rows [n, d]: [n, V].
at::Tensor head_logits(const at::Tensor& hidden, const at::Tensor& head, const std::vector<Patch>& patches);

}  // namespace lowrank
