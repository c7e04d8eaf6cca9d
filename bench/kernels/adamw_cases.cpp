// A step of AdamW, and the gradient's norm, over the parameters of LoRA of rank 8 on q, k, v and o of
// SmolLM2. The references are plain operations in place.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>

#include "kernel_case.h"
#include "kernels/operations/adamw.h"

namespace lowrank {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t parameters = 921600;
constexpr double learning_rate = 1e-4, decay = 0.01;
constexpr int64_t step_number = 10;

struct State {
  at::Tensor p = random_values({parameters}, at::kFloat), m = at::zeros({parameters}, at::kFloat),
             v = at::full({parameters}, 1e-3, at::kFloat);
};

void plain_step(State& state, const at::Tensor& gradient, const AdamWOptions& options) {
  const double correction1 = 1 - std::pow(options.beta1, step_number);
  const double correction2 = 1 - std::pow(options.beta2, step_number);
  state.m.lerp_(gradient, 1 - options.beta1);
  state.v.mul_(options.beta2).addcmul_(gradient, gradient, 1 - options.beta2);
  const at::Tensor root = state.v.sqrt().div_(std::sqrt(correction2)).add_(options.epsilon);
  state.p.mul_(1 - learning_rate * decay).addcdiv_(state.m, root, -learning_rate / correction1);
}

Contenders step_contenders() {
  const at::Tensor gradient = random_values({parameters}, at::kFloat) * 0.1;
  const auto ours = [=, state = State()]() mutable {
    const AdamWGroup group{0, parameters, learning_rate, decay};
    adamw_step(state.p, gradient, state.m, state.v, {&group, 1}, {}, step_number, 1);
    return Tensors{state.p, state.m, state.v};
  };
  const auto reference = [=, state = State()]() mutable {
    plain_step(state, gradient, {});
    return Tensors{state.p, state.m, state.v};
  };
  return {ours, reference};
}

Contenders norm_contenders() {
  const at::Tensor gradient = random_values({parameters}, at::kFloat);
  return {[=] { return Tensors{at::scalar_tensor(squared_norm(gradient), at::kDouble)}; },
          [=] { return Tensors{gradient.to(at::kDouble).square().sum()}; }};
}

}  // namespace

std::vector<KernelCase> adamw_cases() {
  constexpr double bytes = 4.0 * parameters;
  // Four values are read and three written.
  return {{"adamw/step/f32", {Resource::memory, 7 * bytes}, step_contenders},
          {"adamw/squared_norm/f32", {Resource::memory, bytes}, norm_contenders}};
}

}  // namespace lowrank
