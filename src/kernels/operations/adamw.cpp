#include "kernels/operations/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/TensorOperators.h>

#include "kernels/core/device.h"
#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/adamw_cpu.h"

namespace lowrank {
namespace {

constexpr int64_t piece = 1 << 14;

}  // namespace

void adamw_step(at::Tensor& parameters, const at::Tensor& gradient, at::Tensor& m, at::Tensor& v,
                std::span<const AdamWGroup> groups, const AdamWOptions& options, int64_t step,
                double factor) {
  const OpScope scope("adamw");
  const Kernel<AdamWTask> kernel = kernels_for(parameters.device()).adamw_step;
  if (!kernel) return adamw_step_reference(parameters, gradient, m, v, groups, options, step, factor);
  auto* p = parameters.mutable_data_ptr<float>();
  const auto* g = gradient.const_data_ptr<float>();
  auto* first = m.mutable_data_ptr<float>();
  auto* second = v.mutable_data_ptr<float>();
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  for (const AdamWGroup& group : groups) {
    const AdamWStep now{.factor = static_cast<float>(factor),
                        .rest1 = static_cast<float>(1 - options.beta1),
                        .beta2 = static_cast<float>(options.beta2),
                        .rest2 = static_cast<float>(1 - options.beta2),
                        .decay = static_cast<float>(1 - group.learning_rate * group.weight_decay),
                        .rate = static_cast<float>(group.learning_rate / correction1),
                        .inverse_root = static_cast<float>(1 / std::sqrt(correction2)),
                        .epsilon = static_cast<float>(options.epsilon)};
    const AdamWTask task{p + group.begin, g + group.begin, first + group.begin, second + group.begin, now};
    compute(kernel, task, group.end - group.begin, parameters.device());
  }
}

void adamw_step_reference(at::Tensor& parameters, const at::Tensor& gradient, at::Tensor& m, at::Tensor& v,
                          std::span<const AdamWGroup> groups, const AdamWOptions& options, int64_t step,
                          double factor) {
  const at::NoGradGuard no_grad;
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  for (const AdamWGroup& group : groups) {
    const auto of = [&](const at::Tensor& all) {
      return all.narrow(0, group.begin, group.end - group.begin);
    };
    const at::Tensor g = of(gradient) * factor, first = of(m), second = of(v);
    first.lerp_(g, 1 - options.beta1);
    second.mul_(options.beta2).addcmul_(g, g, 1 - options.beta2);
    const at::Tensor root = second.sqrt().div_(std::sqrt(correction2)).add_(options.epsilon);
    of(parameters)
        .mul_(1 - group.learning_rate * group.weight_decay)
        .addcdiv_(first, root, -group.learning_rate / correction1);
  }
}

double squared_norm(const at::Tensor& flat) {
  if (!on_cpu(flat)) return flat.to(at::kDouble).square().sum().item<double>();
  const auto* values = flat.const_data_ptr<float>();
  const int64_t count = flat.numel();
  std::vector<double> sums((count + piece - 1) / piece);
  parallel_for(0, static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      sums[i] = squared_norm_cpu(values + i * piece, std::min(piece, count - i * piece));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace lowrank
