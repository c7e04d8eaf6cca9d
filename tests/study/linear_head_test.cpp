// Linear heads on fixed features, and random projections of them.
#include "study/linear_head.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/pdist.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "study/random_projection.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

at::Tensor normal_rows(int64_t rows, int64_t columns, uint64_t seed) {
  return random_projection(rows, columns, seed) * std::sqrt(static_cast<double>(columns));
}

/// The index of the largest of the first three columns: each pair of classes is linearly separable.
at::Tensor three_classes(const at::Tensor& rows) {
  return rows.narrow(1, 0, 3).argmax(1);
}

double class_loss_of(const LinearHead& head, const at::Tensor& rows, const at::Tensor& classes) {
  return at::cross_entropy_loss(head.scores(rows), classes).item<double>();
}

TEST(LinearHead, TellsSeparableClassesApart) {
  const at::Tensor rows = normal_rows(150, 6, 1);
  const at::Tensor classes = three_classes(rows);
  const LinearHead head = fit_classes(rows, classes, 3, {1e-4, 500, 0.05});
  EXPECT_TRUE(head.scores(rows).argmax(1).equal(classes));
  const LinearHead again = fit_classes(rows, classes, 3, {1e-4, 500, 0.05});
  EXPECT_TRUE(head.weight.equal(again.weight));
}

TEST(LinearHead, EndsWhereThePenalisedLossHasNoSlope) {
  const at::Tensor rows = normal_rows(200, 10, 2);
  const at::Tensor classes = three_classes(rows + normal_rows(200, 10, 3));
  const double penalty = 0.05;
  const LinearHead head = fit_classes(rows, classes, 3, {penalty, 500, 0.05});
  const at::Tensor error = (at::softmax(head.scores(rows), 1) - at::one_hot(classes, 3)) / 200;
  EXPECT_LT((at::mm(rows.t(), error) + penalty * head.weight).abs().max().item<double>(), 2e-4);
  EXPECT_LT(error.sum(0).abs().max().item<double>(), 2e-4);
  EXPECT_GT(head.weight.abs().max().item<double>(), 0.1);
}

TEST(LinearHead, OfRotatedFeaturesLosesNothing) {
  const at::Tensor rows = normal_rows(200, 24, 4);
  const at::Tensor classes = three_classes(rows + normal_rows(200, 24, 5));
  const at::Tensor rotation = std::get<0>(at::linalg_qr(normal_rows(24, 24, 6)));
  const at::Tensor rotated = at::mm(rows, rotation);
  const LinearHead plain = fit_classes(rows, classes, 3, {});
  const LinearHead turned = fit_classes(rotated, classes, 3, {});
  EXPECT_NEAR(class_loss_of(plain, rows, classes), class_loss_of(turned, rotated, classes), 1e-3);
  // The first three columns alone lose much.
  const LinearHead few = fit_classes(rows.narrow(1, 0, 1), classes, 3, {});
  EXPECT_GT(class_loss_of(few, rows.narrow(1, 0, 1), classes), class_loss_of(plain, rows, classes) + 0.05);
}

TEST(LinearHead, FindsTheCoefficientsOfValues) {
  const at::Tensor rows = normal_rows(100, 4, 7) + 3;
  const at::Tensor truth = normal_rows(4, 1, 8);
  const at::Tensor values = at::mm(rows, truth).squeeze(1) + 0.5;
  const LinearHead head = fit_values(rows, values, 1e-9);
  EXPECT_LT((head.weight - truth).abs().max().item<double>(), 1e-4);
  EXPECT_NEAR(head.bias.item<double>(), 0.5, 1e-3);
  // One column of variance v about its mean: the weight shrinks by v / (v + penalty).
  const at::Tensor column = rows.narrow(1, 0, 1);
  const double variance = (column - column.mean()).square().mean().item<double>();
  const LinearHead shrunk = fit_values(column, 2 * column.squeeze(1), 0.7);
  EXPECT_NEAR(shrunk.weight.item<double>(), 2 * variance / (variance + 0.7), 1e-4);
}

TEST(RandomProjection, KeepsDistancesWithinThirtyPerCent) {
  const at::Tensor rows = normal_rows(30, 500, 9);
  const at::Tensor before = at::pdist(rows);
  const auto ratios = [&](int64_t outputs) {
    const at::Tensor projected = at::mm(rows, random_projection(500, outputs, 10));
    const at::Tensor after = at::pdist(projected);
    return after / before;
  };
  EXPECT_LT((ratios(400) - 1).abs().max().item<double>(), 0.3);
  EXPECT_NEAR(ratios(400).mean().item<double>(), 1, 0.05);
  EXPECT_GT((ratios(4) - 1).abs().max().item<double>(), 0.3);
}

TEST(RandomProjection, IsAFunctionOfItsSeed) {
  EXPECT_TRUE(random_projection(20, 5, 1).equal(random_projection(20, 5, 1)));
  EXPECT_FALSE(random_projection(20, 5, 1).equal(random_projection(20, 5, 2)));
  const at::Tensor matrix = random_projection(400, 50, 3);
  EXPECT_NEAR(matrix.mean().item<double>(), 0, 0.005);
  EXPECT_NEAR(matrix.square().mean().item<double>() * 50, 1, 0.03);
}

TEST(CommonScale, CentresAndKeepsTheGeometry) {
  const at::Tensor rows = normal_rows(60, 8, 11) * 4 + 7;
  const at::Tensor scaled = common_scale(rows)(rows);
  EXPECT_LT(scaled.mean(0).abs().max().item<double>(), 1e-4);
  EXPECT_NEAR(scaled.square().mean().item<double>(), 1, 1e-4);
  const at::Tensor before = at::pdist(rows);
  const at::Tensor ratios = at::pdist(scaled) / before;
  EXPECT_LT((ratios.max() - ratios.min()).item<double>(), 1e-4);
  test::expect_error(ErrorKind::invalid, "the same features", "", [] { common_scale(at::zeros({3, 2})); });
}

}  // namespace
}  // namespace lowrank
