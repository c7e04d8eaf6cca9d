#include "kernels/target_loss.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/node.h"
#include "kernels/products.h"

namespace lowrank {
namespace {

/// Logits that exist at one time.
constexpr int64_t max_logit_bytes = 32 << 20;

/// The gradient was computed with the loss; here it is only scaled and put back to its rows.
struct TargetLossBackward : Node {
  at::Tensor gradient;  ///< [N, d]
  at::Tensor rows;      ///< [N]
  int64_t hidden_rows = 0;

  void release_variables() override { gradient.reset(); }

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    at::Tensor hidden = gradient.new_zeros({hidden_rows, gradient.size(1)});
    return {hidden.index_add_(0, rows, gradient.mul_(gradients[0].item<double>()))};
  }
};

}  // namespace

at::Tensor head_logits(const at::Tensor& hidden, const at::Tensor& head, const std::vector<Patch>& patches) {
  return dense_linear(hidden, head, std::nullopt, patches)
      .to(hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

TargetLoss target_loss_reference(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                                 const at::Tensor& weights, const at::Tensor& head,
                                 const std::vector<Patch>& patches) {
  const at::Tensor logits = head_logits(hidden.index_select(0, rows), head, patches);
  const at::Tensor nll = at::logsumexp(logits, 1) - at::gather(logits, 1, targets.unsqueeze(1)).squeeze(1);
  return {(nll * weights.to(nll.scalar_type())).sum(), nll.detach()};
}

TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const at::Tensor& head, const std::vector<Patch>& patches) {
  if (!patches.empty() || needs_gradient(head) || hidden.scalar_type() == at::kDouble) {
    return target_loss_reference(hidden, rows, targets, weights, head, patches);
  }
  NodePointer<TargetLossBackward> node;
  if (needs_gradient(hidden)) node = make_node<TargetLossBackward>(hidden);
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = head.to(hidden.scalar_type());
  const at::Tensor chosen = hidden.index_select(0, rows);
  const int64_t count = chosen.size(0);
  const int64_t chunk =
      std::max<int64_t>(1, max_logit_bytes / (head.size(0) * static_cast<int64_t>(sizeof(float))));
  at::Tensor nll = at::empty({count}, at::kFloat);
  at::Tensor gradient = node ? at::empty({count, chosen.size(1)}, chosen.options()) : at::Tensor();
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    at::Tensor logits = product(chosen.narrow(0, begin, size), matrix).to(at::kFloat);
    const at::Tensor normaliser = at::logsumexp(logits, 1);
    const at::Tensor ids = targets.narrow(0, begin, size).unsqueeze(1);
    nll.narrow(0, begin, size).copy_(normaliser - at::gather(logits, 1, ids).squeeze(1));
    if (!node) continue;
    const at::Tensor weight = weights.narrow(0, begin, size).unsqueeze(1);
    logits.sub_(normaliser.unsqueeze(1)).exp_().mul_(weight);
    logits.scatter_add_(1, ids, -weight);
    gradient.narrow(0, begin, size).copy_(product(logits.to(matrix.scalar_type()), matrix.t()));
  }
  TargetLoss result{(nll * weights).sum(), nll};
  if (!node) return result;
  node->gradient = std::move(gradient);
  node->rows = rows;
  node->hidden_rows = hidden.size(0);
  connect(result.loss, node);
  return result;
}

}  // namespace lowrank
