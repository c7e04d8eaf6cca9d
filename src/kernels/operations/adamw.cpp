#include "kernels/operations/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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
    parallel_for(group.begin, group.end, piece, [&](int64_t begin, int64_t end) {
      adamw_step_cpu(p + begin, g + begin, first + begin, second + begin, end - begin, now);
    });
  }
}

double squared_norm(const at::Tensor& flat) {
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
