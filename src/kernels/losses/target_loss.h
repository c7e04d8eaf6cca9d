#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/products/low_rank_linear.h"

namespace lowrank {

/// What the cross-entropy of targets is one of.
struct TargetLossForm {
  double softcap = 0;    ///< c > 0: of c tanh(logits / c)
  double smoothing = 0;  ///< e: against the distribution (1 - e) onehot(target) + e / V, as `label_smoothing`
                         ///< of torch.nn.functional.cross_entropy and transformers' LabelSmoother
};

struct TargetLoss {
  at::Tensor loss;  ///< scalar f32: sum of weight * nll; its gradient flows back through nll
  at::Tensor nll;  ///< [N] f32: negative log-likelihood of each target, differentiable; smoothed, if so asked
};

/// Cross-entropy at the target positions alone: logits = hidden[rows] W^T (+ patches), c tanh(logits / c) of
/// them if `form.softcap` is c > 0, nll = logsumexp(logits) - (1 - e) logits[target] - e mean(logits) with
/// `form.smoothing` e. hidden [T, d]; rows, targets int64 [N]; weights f32 [N]; head [V, d] row-major in the
/// compute type, or in f32 if it trains. Losses and slopes
/// are computed together in chunks of at most 32 MB of logits, and the backward pass scales each row's slopes
/// by the incoming gradient of its loss; no [N, V] tensor exists. The gradient of a head that trains, [V, d]
/// f32, is computed along with them, for incoming gradients in proportion to `weights`; for others the chunks
/// are computed again. Chunks of a patched head are recomputed in the backward pass.
TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const at::Tensor& head, const std::vector<Patch>& patches,
                       TargetLossForm form = {});

/// The same for a head that is never copied, such as one in the file's blocks, without gradient. Errors:
/// unsupported if one is needed.
TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const std::shared_ptr<const PreparedWeight>& head,
                       const std::vector<Patch>& patches, TargetLossForm form = {});

/// The same as the first from plain differentiable operations.
TargetLoss target_loss_reference(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                                 const at::Tensor& weights, const at::Tensor& head,
                                 const std::vector<Patch>& patches, TargetLossForm form = {});

/// Cross-entropy of each row from all its logits, by plain differentiable operations: logsumexp(logits) - (1
/// - smoothing) logits[target] - smoothing mean(logits). logits [N, V], targets int64 [N]: [N].
at::Tensor smoothed_cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double smoothing);

/// Logits (f32) of hidden rows [n, d], capped as in `target_loss`: [n, V].
at::Tensor head_logits(const at::Tensor& hidden, const at::Tensor& head, const std::vector<Patch>& patches,
                       double softcap = 0);
at::Tensor head_logits(const at::Tensor& hidden, const std::shared_ptr<const PreparedWeight>& head,
                       const std::vector<Patch>& patches, double softcap = 0);

}  // namespace lowrank
