#include "kernels/target_loss.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "kernels/cpu/softmax_loss_cpu.h"
#include "kernels/node.h"
#include "kernels/parallel.h"
#include "kernels/products.h"

namespace lowrank {
namespace {

/// Logits that exist at one time.
constexpr int64_t max_logit_bytes = 32 << 20;
constexpr int64_t rows_per_piece = 4;

/// The gradients were computed with the loss; here they are only scaled and put back to their rows.
struct TargetLossBackward : Node {
  at::Tensor gradient;       ///< [N, d]; undefined when the hidden state needs none
  at::Tensor head_gradient;  ///< [V, d] f32; undefined when the head is frozen
  at::Tensor rows;           ///< [N]
  int64_t hidden_rows = 0;

  void release_variables() override {
    gradient.reset();
    head_gradient.reset();
  }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(2);
    if (!gradients[0].defined()) return out;
    const auto scale = gradients[0].item<double>();
    if (task_should_compute_output(0)) {
      out[0] = gradient.new_zeros({hidden_rows, gradient.size(1)});
      out[0].index_add_(0, rows, gradient * scale);
    }
    if (task_should_compute_output(1)) out[1] = head_gradient * scale;
    return out;
  }
};

/// sum += left^T right; the sum is f32, whatever type the product has.
void add_product(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
  if (right.scalar_type() == sum.scalar_type()) {
    sum.addmm_(left.t(), right);
  } else {
    sum.add_(at::mm(left.t(), right));
  }
}

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
  const OpScope scope("target_loss");
  if (!patches.empty() || head.scalar_type() == at::kDouble || hidden.scalar_type() == at::kDouble) {
    return target_loss_reference(hidden, rows, targets, weights, head, patches);
  }
  NodePointer<TargetLossBackward> node;
  if (needs_gradient(hidden, head)) node = make_node<TargetLossBackward>(hidden, head);
  const bool trains_head = needs_gradient(head), moves_hidden = needs_gradient(hidden);
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = head.to(hidden.scalar_type());
  const at::Tensor chosen = hidden.index_select(0, rows);
  const int64_t count = chosen.size(0);
  const int64_t chunk =
      std::max<int64_t>(1, max_logit_bytes / (head.size(0) * static_cast<int64_t>(matrix.element_size())));
  const at::Tensor all_targets = targets.contiguous(), all_weights = weights.to(at::kFloat).contiguous();
  const auto* ids = all_targets.const_data_ptr<int64_t>();
  const auto* factors = all_weights.const_data_ptr<float>();
  at::Tensor nll = at::empty({count}, at::kFloat);
  at::Tensor gradient = moves_hidden ? at::empty({count, chosen.size(1)}, chosen.options()) : at::Tensor();
  at::Tensor head_gradient = trains_head ? at::zeros(head.sizes(), at::kFloat) : at::Tensor();
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    at::Tensor logits = product(chosen.narrow(0, begin, size), matrix);
    parallel_for(0, size, rows_per_piece, [&](int64_t first, int64_t last) {
      softmax_loss_cpu(logits.mutable_data_ptr(), ids + begin, factors + begin,
                       nll.mutable_data_ptr<float>() + begin, head.size(0), bool(node),
                       logits.scalar_type() == at::kBFloat16, first, last);
    });
    if (!node) continue;
    const at::Tensor& slopes = logits;
    if (moves_hidden) gradient.narrow(0, begin, size).copy_(product(slopes, matrix.t()));
    if (trains_head) add_product(head_gradient, slopes, chosen.narrow(0, begin, size));
  }
  TargetLoss result{(nll * weights).sum(), nll};
  if (!node) return result;
  node->gradient = std::move(gradient);
  node->head_gradient = std::move(head_gradient);
  node->rows = rows;
  node->hidden_rows = hidden.size(0);
  connect(result.loss, node);
  return result;
}

}  // namespace lowrank
