// Low-rank approximations: as good as the singular values say, the same every time.
#include "peft/algebra/low_rank_fit.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "peft/core/low_rank_init.h"

namespace lowrank {
namespace {

/// A matrix [m, n] with these singular values.
at::Tensor matrix_with(const std::vector<double>& values, int64_t m, int64_t n) {
  at::Generator random = seeded_generator(5);
  const auto count = std::ssize(values);
  const at::Tensor u = std::get<0>(at::linalg_qr(at::randn({m, count}, random, at::kDouble)));
  const at::Tensor v = std::get<0>(at::linalg_qr(at::randn({n, count}, random, at::kDouble)));
  return at::mm(u * at::tensor(values, at::kDouble), v.t()).to(at::kFloat);
}

/// 1, 1/2, 1/3, ...
std::vector<double> harmonic(int64_t count) {
  std::vector<double> values;
  for (int64_t i = 1; i <= count; ++i) values.push_back(1 / static_cast<double>(i));
  return values;
}

double energy_beyond(const std::vector<double>& values, int64_t rank) {
  double energy = 0;
  for (size_t i = static_cast<size_t>(rank); i < values.size(); ++i) energy += values[i] * values[i];
  return energy;
}

TEST(LowRankFit, OfAChosenRankLosesWhatTheOtherSingularValuesHold) {
  // The first by all singular vectors, the second by iteration.
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{60, 90}, {700, 400}}) {
    const std::vector<double> values = harmonic(50);
    const at::Tensor matrix = matrix_with(values, m, n);
    const LowRankFit fit = fit_low_rank(matrix, {8, {}});
    EXPECT_EQ(fit.a.size(0), 8);
    EXPECT_NEAR(fit.energy, energy_beyond(values, 0), 1e-5);
    EXPECT_NEAR(fit.lost, energy_beyond(values, 8), 2e-3 * energy_beyond(values, 8));
    EXPECT_NEAR((matrix - at::mm(fit.b, fit.a)).square().sum().item<double>(), fit.lost, 1e-5);
  }
}

TEST(LowRankFit, OfAnEnergyHasTheSmallestRankThatHoldsIt) {
  const std::vector<double> values = harmonic(120);
  const double whole = energy_beyond(values, 0);
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{130, 150}, {600, 900}}) {
    const at::Tensor matrix = matrix_with(values, m, n);
    for (const double energy : {0.7, 0.95, 0.99}) {
      int64_t smallest = 1;
      while (energy_beyond(values, smallest) > (1 - energy) * whole) ++smallest;
      const LowRankFit fit = fit_low_rank(matrix, {{}, energy});
      EXPECT_EQ(fit.a.size(0), smallest) << energy;
      EXPECT_LE(fit.lost, (1 - energy) * whole * 1.0001);
      EXPECT_EQ(fit_low_rank(matrix, {3, energy}).a.size(0), std::min<int64_t>(3, smallest));
    }
  }
}

TEST(LowRankFit, IsTheSameEveryTime) {
  const at::Tensor matrix = matrix_with(harmonic(60), 500, 600);
  const LowRankFit one = fit_low_rank(matrix, {5, {}}), other = fit_low_rank(matrix, {5, {}});
  EXPECT_TRUE(one.a.equal(other.a));
  EXPECT_TRUE(one.b.equal(other.b));
}

TEST(LowRankFit, OfAProductIsThatOfTheMatrix) {
  at::Generator random = seeded_generator(6);
  const at::Tensor b = at::randn({80, 12}, random), a = at::randn({12, 70}, random);
  for (const int64_t rank : {1, 5, 12, 20}) {
    const LowRankFit product = fit_product(b, a, {rank, {}});
    const LowRankFit matrix = fit_low_rank(at::mm(b, a), {rank, {}});
    EXPECT_EQ(product.a.size(0), std::min<int64_t>(rank, 12));
    EXPECT_NEAR(product.energy, matrix.energy, 1e-5 * matrix.energy);
    EXPECT_NEAR(product.lost, matrix.lost, 1e-5 * matrix.energy);
    const at::Tensor difference = at::mm(product.b, product.a) - at::mm(matrix.b, matrix.a);
    EXPECT_LT(difference.abs().max().item<double>(), 1e-3);
  }
}

TEST(LowRankFit, OfZerosHasRankOne) {
  const LowRankFit fit = fit_low_rank(at::zeros({30, 40}), {{}, 0.9});
  EXPECT_EQ(fit.a.size(0), 1);
  EXPECT_EQ(fit.lost, 0);
}

}  // namespace
}  // namespace lowrank
