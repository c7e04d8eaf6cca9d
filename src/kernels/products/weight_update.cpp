#include "kernels/products/weight_update.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/core/node.h"
#include "kernels/products/products.h"

namespace lowrank {
namespace {

/// The most of W, and of U, that exists at one time.
constexpr int64_t block_bytes = 8 << 20;

using Tensors = std::vector<at::Tensor>;

/// W and its update for one product, in blocks of rows.
struct UpdatedWeight {
  std::shared_ptr<const PreparedWeight> weight;
  int64_t begin = 0, end = 0;  ///< rows of W
  WeightUpdate update;         ///< its parameters are detached
  bool with_weight = true;

  /// Rows that are computed at a time.
  int64_t step() const {
    const int64_t rows = block_bytes / (weight->in() * static_cast<int64_t>(sizeof(float)));
    return std::max<int64_t>(1, rows / update.group) * update.group;
  }
  at::ScalarType parameter_type() const { return update.parameters.front().scalar_type(); }

  /// Calls visit(first, last, W[first:last] in the parameters' type), with rows counted from `begin`.
  template <class Visit>
  void for_each_block(const Visit& visit) const {
    for (int64_t first = 0; first < end - begin; first += step()) {
      const int64_t last = std::min(end - begin, first + step());
      visit(first, last, weight->rows(begin + first, begin + last, parameter_type()));
    }
  }
  /// What x is multiplied by, for these rows of W.
  at::Tensor factor(const at::Tensor& w, const at::Tensor& u) const {
    return (with_weight ? w + u : u).to(weight->type());
  }
};

at::Tensor forward(const UpdatedWeight& updated, const at::Tensor& x) {
  at::Tensor y = at::empty({x.size(0), updated.end - updated.begin}, x.options());
  updated.for_each_block([&](int64_t first, int64_t last, const at::Tensor& w) {
    const at::Tensor u = updated.update.rows(w, updated.update.parameters, first, last);
    y.narrow(1, first, last - first).copy_(product(x, updated.factor(w, u)));
  });
  return y;
}

struct UpdatedProductBackward : Node {
  UpdatedWeight updated;
  at::Tensor x;  ///< [T, in]

  void release_variables() override { x.reset(); }

  GradientList apply(GradientList&& gradients) override {
    GradientList out(1 + updated.update.parameters.size());
    if (!gradients[0].defined()) return out;
    const at::Tensor dy = gradients[0].contiguous();
    const bool wants_input = task_should_compute_output(0);
    Tensors leaves;
    bool wants_any = false;
    for (size_t i = 0; i < updated.update.parameters.size(); ++i) {
      leaves.push_back(updated.update.parameters[i].detach());
      if (!leaves.back().is_floating_point()) continue;
      leaves.back().set_requires_grad(task_should_compute_output(1 + i));
      wants_any |= leaves.back().requires_grad();
    }
    at::Tensor dx = wants_input ? at::zeros(x.sizes(), x.options().dtype(updated.parameter_type())) : x;
    updated.for_each_block([&](int64_t first, int64_t last, const at::Tensor& w) {
      const at::Tensor rows = dy.narrow(1, first, last - first).contiguous();
      at::Tensor u;
      {
        const at::AutoGradMode with_graph(wants_any);
        u = updated.update.rows(w, leaves, first, last);
      }
      if (wants_input) dx.add_(product(rows, updated.factor(w, u.detach()).t()));
      if (!u.requires_grad()) return;
      const auto type = updated.parameter_type();
      torch::autograd::backward({u}, {at::mm(rows.to(type).t(), x.to(type))});
    });
    if (wants_input) out[0] = dx.to(x.scalar_type());
    for (size_t i = 0; i < leaves.size(); ++i) out[1 + i] = leaves[i].grad();
    return out;
  }
};

}  // namespace

at::Tensor updated_product(const at::Tensor& x, std::shared_ptr<const PreparedWeight> weight,
                           const Patch& patch, bool with_weight) {
  UpdatedWeight updated{std::move(weight), patch.begin, patch.end, patch.update, with_weight};
  const Tensors& parameters = patch.update.parameters;
  const bool differentiable =
      needs_gradient(x) ||
      std::ranges::any_of(parameters, [](const at::Tensor& parameter) { return needs_gradient(parameter); });
  NodePointer<UpdatedProductBackward> node;
  if (differentiable) {
    Tensors inputs{x};
    inputs.insert(inputs.end(), parameters.begin(), parameters.end());
    node = make_node<UpdatedProductBackward>(inputs);
  }
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : updated.update.parameters) parameter = parameter.detach();
  const at::Tensor input = x.contiguous();
  at::Tensor y = forward(updated, input);
  if (!node) return y;
  node->updated = std::move(updated);
  node->x = input.detach();
  connect(y, node);
  return y;
}

at::Tensor updated_product(const at::Tensor& x, const at::Tensor& w, const Patch& patch, bool with_weight) {
  const at::Tensor rows = w.narrow(0, patch.begin, patch.end - patch.begin);
  const at::Tensor u = patch.update.rows(rows.to(patch.update.parameters.front().scalar_type()),
                                         patch.update.parameters, 0, patch.end - patch.begin);
  const at::Tensor factor = with_weight ? rows + u : u;
  return at::mm(x, factor.to(x.scalar_type()).t());
}

}  // namespace lowrank
