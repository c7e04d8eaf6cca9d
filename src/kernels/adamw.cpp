#include "kernels/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/node.h"
#include "kernels/parallel.h"

namespace lowrank {
namespace {

constexpr int64_t piece = 1 << 14;

struct Step {
  float decay, beta1, beta2, rate, root_correction, epsilon, factor;
};

void update(float* p, const float* gradient, float* m, float* v, int64_t count, const Step& step) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * step.factor;
    m[i] = m[i] + (1 - step.beta1) * (g - m[i]);
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
    p[i] = p[i] * step.decay - step.rate * m[i] / (std::sqrt(v[i]) / step.root_correction + step.epsilon);
  }
}

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
    const Step now{static_cast<float>(1 - group.learning_rate * group.weight_decay),
                   static_cast<float>(options.beta1),
                   static_cast<float>(options.beta2),
                   static_cast<float>(group.learning_rate / correction1),
                   static_cast<float>(std::sqrt(correction2)),
                   static_cast<float>(options.epsilon),
                   static_cast<float>(factor)};
    parallel_for(group.begin, group.end, piece, [&](int64_t begin, int64_t end) {
      update(p + begin, g + begin, first + begin, second + begin, end - begin, now);
    });
  }
}

double squared_norm(const at::Tensor& flat) {
  const auto* values = flat.const_data_ptr<float>();
  const int64_t count = flat.numel();
  std::vector<double> sums((count + piece - 1) / piece);
  parallel_for(0, static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (int64_t j = i * piece; j < std::min(count, (i + 1) * piece); ++j)
        sum += double{values[j]} * values[j];
      sums[i] = sum;
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace lowrank
