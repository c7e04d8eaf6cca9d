#include "study/linear_head.h"

#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/operations/adamw.h"

namespace lowrank {

at::Tensor LinearHead::scores(const at::Tensor& rows) const {
  return at::addmm(bias, rows, weight);
}

LinearHead fit_classes(const at::Tensor& rows, const at::Tensor& classes, int64_t outputs,
                       const LinearHeadOptions& options) {
  const at::NoGradGuard no_grad;
  const int64_t inputs = rows.size(1);
  const auto count = static_cast<double>(rows.size(0));
  at::Tensor values = at::zeros({(inputs + 1) * outputs}, at::kFloat);
  at::Tensor gradient = at::zeros_like(values);
  at::Tensor m = at::zeros_like(values);
  at::Tensor v = at::zeros_like(values);
  const auto weight_of = [&](const at::Tensor& flat) {
    return flat.narrow(0, 0, inputs * outputs).view({inputs, outputs});
  };
  const auto bias_of = [&](const at::Tensor& flat) { return flat.narrow(0, inputs * outputs, outputs); };
  const LinearHead head{weight_of(values), bias_of(values)};
  const at::Tensor truth =
      at::zeros({rows.size(0), outputs}, at::kFloat).scatter_(1, classes.unsqueeze(1), 1);
  for (int64_t step = 0; step < options.steps; ++step) {
    const at::Tensor error = (at::softmax(head.scores(rows), 1) - truth) / count;
    weight_of(gradient).copy_(at::mm(rows.t(), error) + options.penalty * head.weight);
    bias_of(gradient).copy_(error.sum(0));
    const double passed = static_cast<double>(step) / static_cast<double>(options.steps);
    const double rate = options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * passed));
    const AdamWGroup all{0, values.numel(), rate, 0};
    adamw_step(values, gradient, m, v, {&all, 1}, {}, step + 1, 1);
  }
  return head;
}

LinearHead fit_values(const at::Tensor& rows, const at::Tensor& values, double penalty) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = rows.to(at::kDouble);
  const at::Tensor y = values.to(at::kDouble).unsqueeze(1);
  const at::Tensor x_mean = x.mean(0, true);
  const at::Tensor y_mean = y.mean(0, true);
  const auto count = static_cast<double>(rows.size(0));
  const at::Tensor centred = x - x_mean;
  const at::Tensor moments = at::mm(centred.t(), centred) / count + penalty * at::eye(x.size(1), at::kDouble);
  const at::Tensor weight = at::linalg_solve(moments, at::mm(centred.t(), y - y_mean) / count);
  return {weight.to(at::kFloat), (y_mean - at::mm(x_mean, weight)).squeeze(0).to(at::kFloat)};
}

}  // namespace lowrank
