#include "kernels/operations/recomputed.h"

#include <torch/csrc/autograd/autograd.h>

#include "kernels/core/node.h"

namespace lowrank {
namespace {

using Body = std::function<TensorPair(const at::Tensor&, const at::Tensor&)>;

at::Tensor detached(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.detach() : tensor;
}

struct RecomputedBackward : Node {
  at::Tensor a, b;
  Body body;

  void release_variables() override {
    a.reset();
    b.reset();
    body = nullptr;
  }

  GradientList apply(GradientList&& gradients) override {
    const at::Tensor x = leaf(a, 0), y = leaf(b, 1);
    GradientList outputs, slopes;
    {
      const at::AutoGradMode with_graph(true);
      const auto [first, second] = body(x, y);
      if (gradients[0].defined()) outputs.push_back(first), slopes.push_back(gradients[0]);
      if (second.defined() && gradients[1].defined())
        outputs.push_back(second), slopes.push_back(gradients[1]);
    }
    torch::autograd::backward(outputs, slopes);
    return {x.grad(), y.defined() ? y.grad() : at::Tensor()};
  }

 private:
  at::Tensor leaf(const at::Tensor& tensor, size_t input) {
    at::Tensor copy = detached(tensor);
    if (copy.defined()) copy.set_requires_grad(task_should_compute_output(input));
    return copy;
  }
};

}  // namespace

TensorPair recomputed(const at::Tensor& a, const at::Tensor& b, Body body) {
  if (!needs_gradient(a, b)) return body(a, b);
  const NodePointer<RecomputedBackward> node = make_node<RecomputedBackward>(a, b);
  TensorPair result;
  {
    const at::NoGradGuard no_grad;
    const auto [first, second] = body(a, b);
    // The body may return its own arguments.
    result = {detached(first), detached(second)};
  }
  node->a = detached(a);
  node->b = detached(b);
  node->body = std::move(body);
  connect(result.first, node);
  if (result.second.defined()) connect(result.second, node);
  return result;
}

}  // namespace lowrank
