#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/losses/target_loss.h"

namespace lowrank {

/// Cross-entropy of labelled sequences, with `smoothing` e against (1 - e) onehot(class) + e / C: nll_i =
/// logsumexp(scores_i) - (1 - e) scores_i[class_i] - e mean(scores_i). scores [S, C] f32 or f64,
/// differentiable; classes int64 [S]; weights [S], the factors of nll_i in the loss.
TargetLoss class_loss(const at::Tensor& scores, const at::Tensor& classes, const at::Tensor& weights,
                      double smoothing = 0);

/// Binary cross-entropy of sequences with several classes: nll_i = mean_c (log(1 + exp(scores_ic)) -
/// scores_ic truth_ic). scores [S, C]; truth [S, C] of the same type, 1 for the classes that a sequence has,
/// else 0; weights [S].
TargetLoss classes_loss(const at::Tensor& scores, const at::Tensor& truth, const at::Tensor& weights);

/// Squared errors of sequences with values, in place of nll: (scores_i - value_i)^2. scores [S, 1]; values
/// and weights [S].
TargetLoss value_loss(const at::Tensor& scores, const at::Tensor& values, const at::Tensor& weights);

}  // namespace lowrank
