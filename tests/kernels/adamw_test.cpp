#include "kernels/adamw.h"

#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

TEST(AdamW, FollowsTheFormulaInDouble) {
  constexpr int64_t count = 40000;
  at::Tensor p = at::randn({count});
  at::Tensor m = at::zeros({count}), v = at::zeros({count});
  at::Tensor p2 = p.to(at::kDouble), m2 = m.to(at::kDouble), v2 = v.to(at::kDouble);
  const std::vector<AdamWGroup> groups{{0, 30000, 1e-2, 0.1}, {30000, count, 3e-2, 0}};
  for (int64_t step = 1; step <= 20; ++step) {
    const at::Tensor g = at::randn({count});
    adamw_step(p, g, m, v, groups, {}, step, 0.5);
    const at::Tensor scaled = g.to(at::kDouble) * 0.5;
    m2 = m2 * 0.9 + scaled * 0.1;
    v2 = v2 * 0.999 + scaled * scaled * 0.001;
    for (const AdamWGroup& group : groups) {
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, group.begin, group.end - group.begin);
      };
      at::Tensor values = part(p2);
      values.mul_(1 - group.learning_rate * group.weight_decay);
      const at::Tensor denominator =
          part(v2).sqrt() / std::sqrt(1 - std::pow(0.999, static_cast<double>(step))) + 1e-8;
      values.sub_(part(m2) / denominator *
                  (group.learning_rate / (1 - std::pow(0.9, static_cast<double>(step)))));
    }
  }
  EXPECT_LT(relative(p, p2), 2e-6);
  const double norm = p.to(at::kDouble).pow(2).sum().item<double>();
  EXPECT_NEAR(squared_norm(p), norm, 1e-9 * norm);
}

}  // namespace
}  // namespace lowrank
