#include "kernels/operations/recomputed.h"

#include <sys/mman.h>

#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/process.h"
#include "kernels/core/device.h"
#include "kernels/core/node.h"

namespace lowrank {
namespace {

using Body = std::function<TensorPair(const at::Tensor&, const at::Tensor&)>;

at::Tensor detached(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.detach() : tensor;
}

/// Values that wait for the backward pass.
at::Tensor waiting(const at::Tensor& tensor, bool apart) {
  if (!apart || !is_large(tensor)) return detached(tensor);
  const size_t bytes = tensor.nbytes();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return detached(tensor);
  const auto release = [bytes](void* at) { munmap(at, bytes); };
  return at::from_blob(memory, tensor.sizes(), release, tensor.options()).copy_(tensor.detach());
}

struct RecomputedBackward : Node {
  at::Tensor a, b;
  Body body;
  KeptApart apart;

  void release_variables() override {
    a.reset();
    b.reset();
    body = nullptr;
  }

  GradientList apply(GradientList&& gradients) override {
    // What the layer above has freed lies in pieces, and this one's blocks do not quite fill them.
    if (apart.a && is_large(a)) return_freed_memory();
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

bool is_large(const at::Tensor& tensor) {
  return tensor.defined() && on_cpu(tensor) && static_cast<int64_t>(tensor.nbytes()) >= least_own_memory;
}

TensorPair recomputed(const at::Tensor& a, const at::Tensor& b, Body body, KeptApart apart) {
  if (!needs_gradient(a, b)) return body(a, b);
  const NodePointer<RecomputedBackward> node = make_node<RecomputedBackward>(a, b);
  TensorPair result;
  {
    const at::NoGradGuard no_grad;
    const auto [first, second] = body(a, b);
    // The body may return its own arguments.
    result = {detached(first), detached(second)};
  }
  node->apart = apart;
  node->a = waiting(a, apart.a);
  node->b = waiting(b, apart.b);
  node->body = std::move(body);
  connect(result.first, node);
  if (result.second.defined()) connect(result.second, node);
  return result;
}

}  // namespace lowrank
