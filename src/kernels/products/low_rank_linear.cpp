#include "kernels/products/low_rank_linear.h"

#include <algorithm>

#include <ATen/ops/mm.h>

#include "kernels/core/node.h"
#include "kernels/operations/dropout.h"
#include "kernels/products/low_rank_fused.h"
#include "kernels/products/low_rank_terms.h"
#include "kernels/products/patched_product.h"
#include "kernels/products/products.h"
#include "kernels/products/weight_update.h"

namespace lowrank {
namespace {

bool drops(const Patch& patch) {
  return patch.dropout.p > 0;
}

at::Tensor low_rank_input(const at::Tensor& x, const Patch& patch) {
  const at::Tensor input = drops(patch) ? apply_dropout(x, patch.dropout) : x;
  return input.to(factor_type(x));
}

/// y = x W[begin:end]^T + b alone, differentiable in x.
struct FrozenLinearBackward : Node {
  std::shared_ptr<const PreparedWeight> weight;
  int64_t begin = 0, end = 0;

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    return {weight->input_gradient(gradients[0].contiguous(), begin, end)};
  }
};

NodePointer<FrozenLinearBackward> frozen_node(const at::Tensor& x,
                                              const std::shared_ptr<const PreparedWeight>& weight,
                                              int64_t begin, int64_t end) {
  NodePointer<FrozenLinearBackward> node;
  if (!needs_gradient(x)) return node;
  node = make_node<FrozenLinearBackward>(x);
  node->weight = weight;
  node->begin = begin;
  node->end = end;
  return node;
}

at::Tensor frozen_linear(const at::Tensor& x, const std::shared_ptr<const PreparedWeight>& weight,
                         const std::optional<at::Tensor>& bias) {
  const NodePointer<FrozenLinearBackward> node = frozen_node(x, weight, 0, weight->out());
  const at::NoGradGuard no_grad;
  at::Tensor y = weight->forward(x.contiguous(), bias);
  if (node) connect(y, node);
  return y;
}

at::Tensor frozen_rows(const at::Tensor& x, const std::shared_ptr<const PreparedWeight>& weight,
                       int64_t begin, int64_t end) {
  const NodePointer<FrozenLinearBackward> node = frozen_node(x, weight, begin, end);
  const at::NoGradGuard no_grad;
  at::Tensor y = weight->forward(x.contiguous(), begin, end);
  if (node) connect(y, node);
  return y;
}

/// The node of a product whose patches have dropout, large ranks or f64: two thin products for each.
struct LowRankLinearBackward : Node {
  std::shared_ptr<const PreparedWeight> weight;
  std::vector<Patch> patches;  ///< see differentiated_inputs
  at::Tensor x;                ///< [T, in]
  std::vector<at::Tensor> xa;  ///< [T, r] each: drop(x) A^T

  void release_variables() override {
    x.reset();
    xa.clear();
  }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(1 + 2 * patches.size());
    if (!gradients[0].defined()) return out;
    const at::Tensor dy = gradients[0].contiguous();
    const bool wants_input = task_should_compute_output(0);
    if (wants_input) out[0] = weight->input_gradient(dy);
    for (size_t i = 0; i < patches.size(); ++i) {
      const Patch& patch = patches[i];
      const at::Tensor rows = dy.narrow(1, patch.begin, patch.end - patch.begin).to(factor_type(x));
      if (task_should_compute_output(2 + 2 * i)) out[2 + 2 * i] = at::mm(rows.t(), xa[i]).mul_(patch.scale);
      const bool wants_a = task_should_compute_output(1 + 2 * i);
      if (!wants_input && !wants_a) continue;
      const at::Tensor du = product(rows, patch.B.t()).mul_(patch.scale);
      if (wants_a) out[1 + 2 * i] = at::mm(du.t(), low_rank_input(x, patch));
      if (!wants_input) continue;
      const at::Tensor through = product(du, patch.A.t());
      out[0].add_(drops(patch) ? apply_dropout(through, patch.dropout) : through);
    }
    return out;
  }
};

bool are_only_factors(const std::vector<Patch>& patches) {
  return std::ranges::all_of(patches, only_factors);
}

bool are_for_all_tokens(const std::vector<Patch>& patches) {
  return std::ranges::all_of(patches, is_for_all_tokens);
}

}  // namespace

at::Tensor low_rank_linear_reference(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                                     const std::optional<at::Tensor>& bias,
                                     const std::vector<Patch>& patches) {
  const ProductRows rows{weight->out(),
                         [&](const at::Tensor& input, int64_t begin, int64_t end) {
                           return frozen_rows(input, weight, begin, end);
                         },
                         [&](const at::Tensor& input, const Patch& patch, bool with_weight) {
                           return updated_product(input, weight, patch, with_weight);
                         }};
  return patched_product(x, rows, bias.value_or(at::Tensor()), patches);
}

at::Tensor dense_linear(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias,
                        const std::vector<Patch>& patches) {
  const at::Tensor weight = w.to(x.scalar_type());
  const ProductRows rows{weight.size(0),
                         [&](const at::Tensor& input, int64_t begin, int64_t end) {
                           return at::mm(input, weight.narrow(0, begin, end - begin).t());
                         },
                         [&](const at::Tensor& input, const Patch& patch, bool with_weight) {
                           return updated_product(input, w, patch, with_weight);
                         }};
  return patched_product(x, rows, bias.value_or(at::Tensor()), patches);
}

at::Tensor low_rank_linear(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                           const std::optional<at::Tensor>& bias, std::vector<Patch> patches,
                           FactorStacks* stacks) {
  const OpScope scope("low_rank_linear");
  const bool trained_bias = bias && needs_gradient(*bias);
  if (!are_only_factors(patches) || trained_bias) return low_rank_linear_reference(x, weight, bias, patches);
  if (patches.empty()) return frozen_linear(x, weight, bias);
  if (fits_low_rank_terms(x, patches)) {
    const at::Tensor input = x.contiguous();
    at::Tensor y = weight->forward(input, bias);
    add_low_rank_terms(input, patches, y);
    return y;
  }
  if (fits_low_rank_fused(x, patches))
    return low_rank_fused(x, std::move(weight), bias, std::move(patches), stacks);
  if (!are_for_all_tokens(patches)) return low_rank_linear_reference(x, weight, bias, patches);
  const std::vector<at::Tensor> inputs = differentiated_inputs(x, patches);
  NodePointer<LowRankLinearBackward> node;
  if (!inputs.empty()) node = make_node<LowRankLinearBackward>(inputs);
  const at::NoGradGuard no_grad;
  const at::Tensor input = x.contiguous();
  at::Tensor y = weight->forward(input, bias);
  std::vector<at::Tensor> xa;
  for (const Patch& patch : patches) {
    xa.push_back(product(low_rank_input(input, patch), patch.A));
    y.narrow(1, patch.begin, patch.end - patch.begin).add_(product(xa.back(), patch.B), patch.scale);
  }
  if (!node) return y;
  node->weight = std::move(weight);
  node->patches = std::move(patches);
  node->x = input.detach();
  node->xa = std::move(xa);
  connect(y, node);
  return y;
}

}  // namespace lowrank
