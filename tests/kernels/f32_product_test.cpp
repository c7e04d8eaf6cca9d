// The product of f32 matrices against f64 on each Highway target, at sizes below, at and just off panels,
// blocks and chunks. The memory around the operands is NaN.
#include "kernels/products/f32_product.h"

#include <cmath>
#include <limits>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/core/parallel.h"
#include "kernels/highway_target.h"
#include "kernels/products/products.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

/// The error of random sums is a few roundings of values of their typical size, the square root of the number
/// of terms.
double error_of(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const at::Tensor wide = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
  return relative(f32_product(x, w, bias), bias ? wide + bias->to(at::kDouble) : wide,
                  std::sqrt(static_cast<double>(x.size(1))));
}

constexpr double f32_error = 2e-6;

/// Random values surrounded by NaN.
at::Tensor f32_amid_nan(int64_t rows, int64_t columns) {
  at::Tensor around = at::full({rows + 2, columns + 6}, std::numeric_limits<double>::quiet_NaN(), at::kFloat);
  at::Tensor inside = around.narrow(0, 1, rows).narrow(1, 3, columns);
  return inside.copy_(at::randn({rows, columns}));
}

class F32ProductTest : public OnTarget<int64_t> {};

TEST_P(F32ProductTest, EqualsDoubleAtAllSizes) {
  for (const int64_t rows : {1, 3, 4, 5, 7, 8, 9, 25, 100}) {
    for (const int64_t inner : {1, 15, 16, 17, 66, 1024, 1026, 2049}) {
      for (const int64_t outputs : {1, 15, 24, 47, 48, 50, 97}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}", rows, inner, outputs));
        const at::Tensor x = f32_amid_nan(rows, inner), bias = at::randn({outputs});
        const at::Tensor w = f32_amid_nan(outputs, inner), transposed = f32_amid_nan(inner, outputs).t();
        EXPECT_LT(error_of(x, w, {}), f32_error);
        EXPECT_LT(error_of(x, w, bias), f32_error);
        EXPECT_LT(error_of(x, transposed, bias), f32_error);
      }
    }
  }
}

/// Each block of columns is passed over once for each chunk of inner values, and adds to what it has.
TEST_P(F32ProductTest, EqualsDoubleOnManyBlocksAndChunks) {
  const at::Tensor x = f32_amid_nan(300, 5000), w = f32_amid_nan(777, 5000),
                   turned = f32_amid_nan(5000, 777).t();
  const at::Tensor bias = at::randn({777});
  EXPECT_LT(error_of(x, w, bias), f32_error);
  EXPECT_LT(error_of(x, turned, bias), f32_error);
}

TEST_P(F32ProductTest, DoesNotDependOnThreads) {
  const int before = thread_count();
  const at::Tensor x = f32_amid_nan(203, 2054), w = f32_amid_nan(197, 2054);
  set_thread_count(1);
  const at::Tensor alone = f32_product(x, w, {});
  for (const int threads : {2, 3, 16}) {
    set_thread_count(threads);
    EXPECT_TRUE(at::equal(alone, f32_product(x, w, {}))) << threads;
  }
  set_thread_count(before);
}

TEST_P(F32ProductTest, IsUsedWhereItFits) {
  const bool vectors = !target_name(GetParam()).starts_with("EMU") && target_name(GetParam()) != "SCALAR";
  const at::Tensor x = f32_amid_nan(20, 64), w = f32_amid_nan(40, 64);
  EXPECT_EQ(has_f32_product(x, w), vectors);
  EXPECT_EQ(has_f32_product(x, f32_amid_nan(64, 40).t()), vectors);
  EXPECT_FALSE(has_f32_product(x.to(at::kDouble), w.to(at::kDouble)));
  EXPECT_FALSE(has_f32_product(x.narrow(0, 0, 3), w));
  EXPECT_FALSE(has_f32_product(f32_amid_nan(64, 20).t(), w));
  EXPECT_FALSE(has_f32_product(x, w.narrow(0, 0, 31)));
  const at::Tensor dense = w.contiguous();
  EXPECT_FALSE(has_f32_product(
      x, can_pack(at::kFloat) ? packed_for_products(dense) : at::Tensor(dense.to(at::kDouble))));
}

INSTANTIATE_TEST_SUITE_P(Targets, F32ProductTest, testing::ValuesIn(compiled_targets()),
                         [](const auto& test) { return target_name(test.param); });

}  // namespace
}  // namespace lowrank
