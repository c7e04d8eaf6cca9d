#include "kernels/losses/target_loss.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"
#include "kernels/operations/recomputed.h"
#include "kernels/products/products.h"

namespace lowrank {
namespace {

/// The most logits that exist at one time.
constexpr int64_t max_logit_bytes = 32 << 20;

/// Writes the losses of logits [n, V], of which the targets are those, to nll[begin, begin + n); with
/// `slopes` each row becomes its gradient.
void take_losses(at::Tensor& logits, const at::Tensor& targets, at::Tensor& nll, int64_t begin, bool slopes,
                 TargetLossForm form) {
  const SoftmaxLoss op{logits.mutable_data_ptr(),
                       targets.const_data_ptr<int64_t>(),
                       nll.mutable_data_ptr<float>() + begin,
                       logits.size(1),
                       slopes,
                       logits.scalar_type() == at::kBFloat16,
                       {static_cast<float>(form.softcap), static_cast<float>(form.smoothing)}};
  compute(kernels_for(logits.device()).softmax_loss, op, logits.size(0), logits.device());
}

/// What chunks of rows share: the rows' hidden states, [N, d], and the head in the type of the products, [V,
/// d].
struct Chunks {
  at::Tensor chosen, matrix;
  at::Tensor targets;  ///< int64 [N]
  TargetLossForm form;

  int64_t count() const { return chosen.size(0); }

  /// Fills `nll` (f32 [N]) chunk by chunk; if `with_slopes`, then calls use(first row, slopes) with the
  /// chunk's slopes [n, V], d nll / d logits.
  template <class UseSlopes>
  void go_over(at::Tensor& nll, bool with_slopes, const UseSlopes& use) const {
    const int64_t vocabulary = matrix.size(0);
    const int64_t chunk =
        std::max<int64_t>(1, max_logit_bytes / (vocabulary * static_cast<int64_t>(matrix.element_size())));
    for (int64_t begin = 0; begin < count(); begin += chunk) {
      const int64_t size = std::min(chunk, count() - begin);
      at::Tensor logits = product(chosen.narrow(0, begin, size), matrix);
      take_losses(logits, targets.narrow(0, begin, size), nll, begin, with_slopes, form);
      if (with_slopes) use(begin, logits);
    }
  }
};

/// `rows` with each multiplied by its factor (f32 [N]), in the type of the rows.
at::Tensor scaled_rows(const at::Tensor& rows, const at::Tensor& factors) {
  return (rows * factors.unsqueeze(1)).to(rows.scalar_type());
}

/// The number c for which `gradient` is c * weights up to rounding; nothing if there is none.
std::optional<double> common_factor(const at::Tensor& gradient, const at::Tensor& weights) {
  constexpr double rounding = 1e-6;
  const at::Tensor found = gradient.to(at::kCPU, at::kFloat).contiguous(),
                   expected = weights.cpu().contiguous();
  const std::span g(found.const_data_ptr<float>(), static_cast<size_t>(found.numel()));
  const std::span w(expected.const_data_ptr<float>(), static_cast<size_t>(expected.numel()));
  double both = 0, square = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    both += double{g[i]} * w[i];
    square += double{w[i]} * w[i];
  }
  if (square == 0) return std::nullopt;
  const double factor = both / square;
  for (size_t i = 0; i < g.size(); ++i) {
    if (!(std::abs(g[i] - factor * w[i]) <= rounding * std::abs(g[i]))) return std::nullopt;
  }
  return factor;
}

/// A head that trains. Its gradient is a sum over the targets, so the factors must be known in advance: it is
/// computed along with the loss for the expected weights, and again if the incoming gradient is not
/// proportional to them.
struct TrainedHead {
  at::Tensor value;            ///< f32 [V, d]
  at::Tensor chosen, targets;  ///< as in Chunks
  at::Tensor weights;          ///< f32 [N]
  at::Tensor gradient;         ///< [V, d] f32 for these weights
  TargetLossForm form;

  at::Tensor gradient_for(const at::Tensor& incoming) const;
};

/// The slopes of the rows were computed with the losses; here they are scaled and added to their rows.
struct TargetLossBackward : Node {
  at::Tensor slopes;  ///< [N, d], d loss / d row; undefined when the hidden state needs no gradient
  at::Tensor rows;    ///< [N]
  int64_t hidden_rows = 0;
  std::optional<TrainedHead> head;

  void release_variables() override {
    slopes.reset();
    head.reset();
  }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(2);
    const at::Tensor& incoming = gradients[0];
    if (!incoming.defined()) return out;
    const at::NoGradGuard no_grad;
    if (task_should_compute_output(0)) {
      out[0] = slopes.new_zeros({hidden_rows, slopes.size(1)});
      out[0].index_add_(0, rows, scaled_rows(slopes, incoming));
    }
    if (task_should_compute_output(1)) out[1] = head->gradient_for(incoming);
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

/// Adds sum_n factors_n slopes_n^T chosen_n to `sum`, for rows from `begin` on.
void add_head_gradient(at::Tensor& sum, const Chunks& chunks, int64_t begin, const at::Tensor& slopes,
                       const at::Tensor& factors) {
  const at::Tensor chosen = chunks.chosen.narrow(0, begin, slopes.size(0));
  add_product(sum, slopes, scaled_rows(chosen, factors.narrow(0, begin, slopes.size(0))));
}

at::Tensor TrainedHead::gradient_for(const at::Tensor& incoming) const {
  if (const std::optional<double> factor = common_factor(incoming, weights)) return gradient * *factor;
  const Chunks chunks{chosen, value.to(chosen.scalar_type()), targets, form};
  at::Tensor sum = at::zeros_like(gradient), nll = at::empty({chunks.count()}, weights.options());
  chunks.go_over(nll, true, [&](int64_t begin, const at::Tensor& slopes) {
    add_head_gradient(sum, chunks, begin, slopes, incoming);
  });
  return sum;
}

/// The patches as seen by rows [begin, begin + count) of the product. Chunks of rows have different dropout
/// masks.
std::vector<Patch> patches_of_rows(const std::vector<Patch>& patches, int64_t begin, int64_t count) {
  std::vector<Patch> result;
  for (Patch patch : patches) {
    patch.first_token = std::max<int64_t>(0, patch.first_token - begin);
    if (patch.end_token != Patch::all_tokens) patch.end_token = std::min(count, patch.end_token - begin);
    if (patch.first_token >= std::min(count, patch.end_token)) continue;
    patch.dropout.seed += static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15U;
    result.push_back(std::move(patch));
  }
  return result;
}

at::Tensor nll_of(const at::Tensor& hidden, const at::Tensor& targets, const at::Tensor& head,
                  const std::vector<Patch>& patches, TargetLossForm form) {
  const at::Tensor logits = head_logits(hidden, head, patches, form.softcap);
  return smoothed_cross_entropy(logits, targets, form.smoothing);
}

/// The loss under a patched head, chunk by chunk; if there are several chunks, none keeps its logits.
TargetLoss chunked_loss(const at::Tensor& chosen, const at::Tensor& targets, const at::Tensor& weights,
                        const at::Tensor& head, const std::vector<Patch>& patches, TargetLossForm form) {
  const int64_t count = chosen.size(0);
  const int64_t chunk = std::max<int64_t>(1, max_logit_bytes / (head.size(0) * int64_t{sizeof(float)}));
  if (count <= chunk) {
    const at::Tensor nll = nll_of(chosen, targets, head, patches, form);
    return {(nll * weights.to(nll.scalar_type())).sum(), nll};
  }
  // Patches can train even if the hidden state does not: some input must require a gradient.
  const at::Tensor asks = at::zeros({1}, chosen.options()).set_requires_grad(true);
  std::vector<at::Tensor> losses;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    const auto body = [head, form, ids = targets.narrow(0, begin, size),
                       ours = patches_of_rows(patches, begin, size)](const at::Tensor& x, const at::Tensor&) {
      return TensorPair{nll_of(x, ids, head, ours, form), {}};
    };
    losses.push_back(recomputed(chosen.narrow(0, begin, size), asks, body).first);
  }
  const at::Tensor nll = at::cat(losses);
  return {(nll * weights.to(nll.scalar_type())).sum(), nll};
}

}  // namespace

at::Tensor smoothed_cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double smoothing) {
  at::Tensor expected = at::gather(logits, 1, targets.unsqueeze(1)).squeeze(1);
  if (smoothing > 0) expected = (1 - smoothing) * expected + smoothing * logits.mean(1);
  return at::logsumexp(logits, 1) - expected;
}

at::Tensor head_logits(const at::Tensor& hidden, const at::Tensor& head, const std::vector<Patch>& patches,
                       double softcap) {
  const at::Tensor logits = dense_linear(hidden, head, std::nullopt, patches)
                                .to(hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  return softcap > 0 ? at::tanh(logits / softcap).mul(softcap) : logits;
}

at::Tensor head_logits(const at::Tensor& hidden, const std::shared_ptr<const PreparedWeight>& head,
                       const std::vector<Patch>& patches, double softcap) {
  const at::Tensor logits = low_rank_linear(hidden, head, std::nullopt, patches).to(at::kFloat);
  return softcap > 0 ? at::tanh(logits / softcap).mul(softcap) : logits;
}

TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const std::shared_ptr<const PreparedWeight>& head,
                       const std::vector<Patch>& patches, TargetLossForm form) {
  const OpScope scope("target_loss");
  check(!needs_gradient(hidden), ErrorKind::unsupported, "a head in the file's blocks gives no gradient");
  const at::NoGradGuard no_grad;
  const at::Tensor chosen = hidden.index_select(0, rows), ids = targets.contiguous();
  const int64_t count = chosen.size(0), vocabulary = head->out();
  at::Tensor nll = at::empty({count}, at::kFloat);
  const int64_t chunk = std::max<int64_t>(1, max_logit_bytes / (vocabulary * int64_t{sizeof(float)}));
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    at::Tensor logits = low_rank_linear(chosen.narrow(0, begin, size), head, std::nullopt,
                                        patches_of_rows(patches, begin, size))
                            .contiguous();
    take_losses(logits, ids.narrow(0, begin, size), nll, begin, false, form);
  }
  return {(nll * weights.to(at::kFloat)).sum(), nll};
}

TargetLoss target_loss_reference(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                                 const at::Tensor& weights, const at::Tensor& head,
                                 const std::vector<Patch>& patches, TargetLossForm form) {
  const at::Tensor nll = nll_of(hidden.index_select(0, rows), targets, head, patches, form);
  return {(nll * weights.to(nll.scalar_type())).sum(), nll};
}

TargetLoss target_loss(const at::Tensor& hidden, const at::Tensor& rows, const at::Tensor& targets,
                       const at::Tensor& weights, const at::Tensor& head, const std::vector<Patch>& patches,
                       TargetLossForm form) {
  const OpScope scope("target_loss");
  if (!patches.empty() || !kernels_for(hidden.device()).softmax_loss)
    return chunked_loss(hidden.index_select(0, rows), targets, weights, head, patches, form);
  if (head.scalar_type() == at::kDouble || hidden.scalar_type() == at::kDouble)
    return target_loss_reference(hidden, rows, targets, weights, head, patches, form);
  NodePointer<TargetLossBackward> node;
  if (needs_gradient(hidden, head)) node = make_node<TargetLossBackward>(hidden, head);
  const bool trains_head = needs_gradient(head), moves_hidden = needs_gradient(hidden);
  const at::Tensor factors = weights.to(at::kFloat);
  at::Tensor nll = at::empty({rows.numel()}, factors.options());
  {
    const at::NoGradGuard no_grad;
    const Chunks chunks{hidden.index_select(0, rows), head.to(hidden.scalar_type()), targets.contiguous(),
                        form};
    at::Tensor slopes = moves_hidden ? at::empty_like(chunks.chosen) : at::Tensor();
    at::Tensor of_head = trains_head ? at::zeros(head.sizes(), factors.options()) : at::Tensor();
    chunks.go_over(nll, bool(node), [&](int64_t begin, const at::Tensor& chunk) {
      if (moves_hidden) slopes.narrow(0, begin, chunk.size(0)).copy_(product(chunk, chunks.matrix.t()));
      if (trains_head) add_head_gradient(of_head, chunks, begin, chunk, factors);
    });
    if (node) {
      node->slopes = std::move(slopes);
      node->rows = rows;
      node->hidden_rows = hidden.size(0);
      if (trains_head)
        node->head = TrainedHead{head.detach(), chunks.chosen, chunks.targets, factors, of_head, form};
    }
  }
  if (node) connect(nll, node);
  return {(nll * factors).sum(), nll};
}

}  // namespace lowrank
