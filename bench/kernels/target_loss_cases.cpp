// The loss over SmolLM2's vocabulary at 256 target rows of 496, without and with its gradient, and by itself
// what stands between its two products: the softmax of one chunk of logits, which becomes the gradient in
// place.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/softmax.h>

#include "kernel_case.h"
#include "kernels/core/device_kernels.h"
#include "kernels/losses/target_loss.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;
using LossFunction = decltype(&target_loss_reference);

constexpr int64_t target_rows = 256;
constexpr int64_t chunk_bytes = 32 << 20;  ///< of logits, as in kernels/losses/target_loss.cpp

struct Inputs {
  at::Tensor hidden, rows, targets, weights, head;
};

Inputs inputs_in(at::ScalarType type) {
  return {random_leaf({smol::rows, smol::hidden}, type), at::arange(target_rows, at::kLong),
          at::arange(target_rows, at::kLong) * (smol::vocabulary / target_rows),
          at::full({target_rows}, 1.0 / target_rows, at::kFloat),
          random_values({smol::vocabulary, smol::hidden}, type) * 0.05};
}

Run loss_alone(LossFunction function, const Inputs& in) {
  return [=] {
    const at::NoGradGuard no_grad;
    return Tensors{function(in.hidden, in.rows, in.targets, in.weights, in.head, {}, {}).nll};
  };
}

Run with_gradient(LossFunction function, const Inputs& in) {
  return [=] {
    const TargetLoss result = function(in.hidden, in.rows, in.targets, in.weights, in.head, {}, {});
    return Tensors{result.nll, gradient(result.loss, in.hidden)};
  };
}

KernelCase softmax(at::ScalarType type) {
  const int64_t rows = chunk_bytes / (smol::vocabulary * static_cast<int64_t>(c10::elementSize(type)));
  const auto prepare = [=] {
    const at::Tensor logits = random_values({rows, smol::vocabulary}, type), theirs = logits.clone();
    const at::Tensor targets = at::arange(rows, at::kLong);
    const auto ours = [=] {
      at::Tensor values = logits;
      at::Tensor nll = at::full({rows}, 0.0, at::kFloat);
      const SoftmaxLoss op{values.mutable_data_ptr(),
                           targets.const_data_ptr<int64_t>(),
                           nll.mutable_data_ptr<float>(),
                           smol::vocabulary,
                           true,
                           type == at::kBFloat16,
                           {}};
      compute(cpu_kernels().softmax_loss, op, rows, at::kCPU);
      return Tensors{values, nll};
    };
    const auto reference = [=] {
      const at::Tensor values = theirs.to(at::kFloat), places = targets.unsqueeze(1);
      const at::Tensor nll = at::logsumexp(values, 1) - values.gather(1, places).squeeze(1);
      at::Tensor slopes = at::softmax(values, 1);
      slopes.scatter_add_(1, places, at::full({rows, 1}, -1.0, at::kFloat));
      return Tensors{slopes.to(type), nll};
    };
    return Contenders{ours, reference};
  };
  return {"softmax_loss/both/" + type_name(type),
          {Resource::memory, 2.0 * static_cast<double>(rows * smol::vocabulary) * width(type)},
          prepare};
}

}  // namespace

std::vector<KernelCase> target_loss_cases() {
  std::vector<KernelCase> cases;
  constexpr double flops = 2.0 * target_rows * smol::hidden * smol::vocabulary;
  for (const at::ScalarType type : measured_types) {
    cases.push_back({"target_loss/forward/" + type_name(type), products(type, flops), [type] {
                       const Inputs in = inputs_in(type);
                       return Contenders{loss_alone(target_loss, in), loss_alone(target_loss_reference, in)};
                     }});
    cases.push_back(
        {"target_loss/both/" + type_name(type), products(type, 2 * flops), [type] {
           const Inputs in = inputs_in(type);
           return Contenders{with_gradient(target_loss, in), with_gradient(target_loss_reference, in)};
         }});
    cases.push_back(softmax(type));
  }
  return cases;
}

}  // namespace lowrank
