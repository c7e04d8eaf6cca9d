#include "kernels/losses/label_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softplus.h>

namespace lowrank {

TargetLoss class_loss(const at::Tensor& scores, const at::Tensor& classes, const at::Tensor& weights,
                      double smoothing) {
  const at::Tensor nll = smoothed_cross_entropy(scores, classes, smoothing);
  return {(nll * weights).sum(), nll};
}

TargetLoss classes_loss(const at::Tensor& scores, const at::Tensor& truth, const at::Tensor& weights) {
  const at::Tensor nll = (at::softplus(scores) - scores * truth).mean(1);
  return {(nll * weights).sum(), nll};
}

TargetLoss value_loss(const at::Tensor& scores, const at::Tensor& values, const at::Tensor& weights) {
  const at::Tensor error = scores.squeeze(1) - values;
  const at::Tensor squared = error * error;
  return {(squared * weights).sum(), squared};
}

}  // namespace lowrank
