#include "kernels/low_rank_linear.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/dropout.h"
#include "kernels/low_rank_fused.h"
#include "kernels/node.h"
#include "kernels/products.h"

namespace lowrank {
namespace {

/// The factors' type beside products of type `x`: f32, or f64 for f64.
at::ScalarType factor_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

bool drops(const Patch& patch) {
  return patch.dropout.p > 0;
}

at::Tensor low_rank_input(const at::Tensor& x, const Patch& patch) {
  const at::Tensor input = drops(patch) ? apply_dropout(x, patch.dropout) : x;
  return input.to(factor_type(x));
}

/// y = x W^T + b alone, differentiable in x.
struct FrozenLinearBackward : Node {
  std::shared_ptr<const PackedWeight> weight;

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    return {weight->input_gradient(gradients[0].contiguous())};
  }
};

at::Tensor frozen_linear(const at::Tensor& x, const std::shared_ptr<const PackedWeight>& weight,
                         const std::optional<at::Tensor>& bias) {
  NodePointer<FrozenLinearBackward> node;
  if (needs_gradient(x)) {
    node = make_node<FrozenLinearBackward>(x);
    node->weight = weight;
  }
  const at::NoGradGuard no_grad;
  at::Tensor y = weight->forward(x.contiguous(), bias);
  if (node) connect(y, node);
  return y;
}

/// The node of a product whose patches have dropout, large ranks or f64: two thin products for each.
struct LowRankLinearBackward : Node {
  std::shared_ptr<const PackedWeight> weight;
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

bool only_factors(const std::vector<Patch>& patches) {
  return std::ranges::all_of(patches, [](const Patch& patch) {
    return patch.A.defined() && !patch.in_scale.defined() && !patch.out_scale.defined() &&
           !patch.bias.defined() && !patch.branch;
  });
}

using Product = std::function<at::Tensor(const at::Tensor&)>;

/// drop(x) from plain operations.
at::Tensor dropped(const at::Tensor& x, const Patch& patch) {
  return drops(patch) ? x * apply_dropout(at::zeros_like(x).fill_(1), patch.dropout) : x;
}

/// B (A drop(x)) s of one patch from plain operations, [T, end - begin].
at::Tensor low_rank_term(const at::Tensor& x, const Patch& patch) {
  const at::Tensor input = dropped(x, patch).to(factor_type(x));
  return at::mm(at::mm(input, patch.A.t()), patch.B.t()) * patch.scale;
}

/// The patch's columns of W (l * x) + b with g on them; `y` is W x, [T, out], `bias` [out] may be undefined.
at::Tensor scaled_part(const at::Tensor& y, const at::Tensor& x, const at::Tensor& bias, const Patch& patch,
                       const Product& product) {
  const auto columns = [&](const at::Tensor& all) {
    return all.narrow(1, patch.begin, patch.end - patch.begin);
  };
  const at::Tensor own_bias = bias.defined() ? bias.narrow(0, patch.begin, patch.end - patch.begin) : bias;
  at::Tensor part = columns(patch.in_scale.defined() ? product((x * patch.in_scale).to(x.scalar_type())) : y);
  const bool splits = patch.out_scale.defined() && !patch.scales_bias;
  if (own_bias.defined() && !splits) part = part + own_bias;
  if (!patch.out_scale.defined()) return part;
  if (!splits) return part * patch.out_scale;
  part = drops(patch) ? part + columns(product(dropped(x, patch).to(x.scalar_type()))) * (patch.out_scale - 1)
                      : part * patch.out_scale;
  return own_bias.defined() ? part + own_bias : part;
}

/// The product and all patches from plain operations. A patch that scales its input needs a product of its
/// own: rows of W see different inputs.
at::Tensor patched(const at::Tensor& x, const Product& product, const at::Tensor& bias,
                   const std::vector<Patch>& patches) {
  const at::Tensor y = product(x);
  std::vector<at::Tensor> columns;
  int64_t done = 0;
  const auto plain_until = [&](int64_t end) {
    if (end == done) return;
    const at::Tensor part = y.narrow(1, done, end - done);
    columns.push_back(bias.defined() ? (part + bias.narrow(0, done, end - done)).to(y.scalar_type()) : part);
  };
  std::vector<Patch> sorted = patches;
  std::ranges::sort(sorted, {}, &Patch::begin);
  for (const Patch& patch : sorted) {
    plain_until(patch.begin);
    at::Tensor part = scaled_part(y, x, bias, patch, product);
    if (patch.A.defined()) part = part + low_rank_term(x, patch);
    if (patch.bias.defined()) part = part + patch.bias;
    if (patch.branch) part = part + patch.branch(x);
    columns.push_back(part.to(y.scalar_type()));
    done = patch.end;
  }
  plain_until(y.size(1));
  return columns.size() == 1 ? columns.front() : at::cat(columns, 1);
}

}  // namespace

at::Tensor low_rank_linear_reference(const at::Tensor& x, std::shared_ptr<const PackedWeight> weight,
                                     const std::optional<at::Tensor>& bias,
                                     const std::vector<Patch>& patches) {
  const auto product = [&](const at::Tensor& input) { return frozen_linear(input, weight, std::nullopt); };
  return patched(x, product, bias.value_or(at::Tensor()), patches);
}

at::Tensor dense_linear(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias,
                        const std::vector<Patch>& patches) {
  const at::Tensor weight = w.to(x.scalar_type());
  const auto product = [&](const at::Tensor& input) { return at::mm(input, weight.t()); };
  return patched(x, product, bias.value_or(at::Tensor()), patches);
}

at::Tensor low_rank_linear(const at::Tensor& x, std::shared_ptr<const PackedWeight> weight,
                           const std::optional<at::Tensor>& bias, std::vector<Patch> patches) {
  const OpScope scope("low_rank_linear");
  const bool trained_bias = bias && needs_gradient(*bias);
  if (!only_factors(patches) || trained_bias) return low_rank_linear_reference(x, weight, bias, patches);
  if (patches.empty()) return frozen_linear(x, weight, bias);
  if (fits_low_rank_fused(x, patches)) return low_rank_fused(x, std::move(weight), bias, std::move(patches));
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
