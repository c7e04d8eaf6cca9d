// The product of bf16 matrices against f64, at sizes below, at and just off panels, blocks and chunks. The
// memory around the operands is NaN.
#include "kernels/products/bf16_product.h"

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

#include "base/cpu_features.h"
#include "kernels/core/parallel.h"
#include "kernels/products/cpu/bf16_product_avx512bf16.h"
#include "kernels/products/products.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

constexpr double one_rounding = 1.0 / 256 + 1e-4;

/// Random values surrounded by NaN.
at::Tensor amid_nan(int64_t rows, int64_t columns) {
  at::Tensor around =
      at::full({rows + 2, columns + 6}, std::numeric_limits<double>::quiet_NaN(), at::kBFloat16);
  at::Tensor inside = around.narrow(0, 1, rows).narrow(1, 3, columns);
  return inside.copy_(at::randn({rows, columns}));
}

at::Tensor in_double(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  const at::Tensor y = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
  return bias ? y + bias->to(at::kDouble) : y;
}

class Bf16ProductTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_avx512bf16())
      GTEST_SKIP() << "no dot products of bf16: the processor has " << describe(detect_cpu())
                   << ", LOWRANK_CPU is " << cpu_level();
  }
};

TEST_F(Bf16ProductTest, EqualsDoubleAtAllSizes) {
  for (const int64_t rows : {1, 2, 11, 12, 13, 25, 100}) {
    for (const int64_t inner : {2, 30, 32, 34, 66, 1024, 1026, 2054}) {
      for (const int64_t outputs : {1, 31, 32, 33, 63, 100}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}", rows, inner, outputs));
        const at::Tensor x = amid_nan(rows, inner), bias = at::randn({outputs}).to(at::kBFloat16);
        const at::Tensor w = amid_nan(outputs, inner), transposed = amid_nan(inner, outputs).t();
        EXPECT_LT(relative(bf16_product(x, w, {}), in_double(x, w, {})), one_rounding);
        EXPECT_LT(relative(bf16_product(x, w, bias), in_double(x, w, bias)), one_rounding);
        EXPECT_LT(relative(bf16_product(x, transposed, bias), in_double(x, transposed, bias)), one_rounding);
      }
    }
  }
}

/// Sums of many panels wait for their next chunk.
TEST_F(Bf16ProductTest, EqualsDoubleWhereTheInnerSizeIsLong) {
  const at::Tensor x = amid_nan(300, 5000), w = amid_nan(5000, 777).t();
  EXPECT_LT(relative(bf16_product(x, w, {}), in_double(x, w, {})), one_rounding);
}

TEST_F(Bf16ProductTest, DoesNotDependOnThreads) {
  const int before = thread_count();
  const at::Tensor x = amid_nan(203, 2054), w = amid_nan(97, 2054);
  set_thread_count(1);
  const at::Tensor alone = bf16_product(x, w, {});
  for (const int threads : {2, 3, 16}) {
    set_thread_count(threads);
    EXPECT_TRUE(at::equal(alone, bf16_product(x, w, {}))) << threads;
  }
  set_thread_count(before);
}

TEST_F(Bf16ProductTest, IsUsedWhereItFits) {
  const auto fits = [](const at::Tensor& x, const at::Tensor& w) { return has_bf16_product(x, w); };
  const at::Tensor x = amid_nan(20, 64), w = amid_nan(40, 64);
  EXPECT_TRUE(fits(x, w));
  EXPECT_TRUE(fits(x, amid_nan(64, 40).t()));
  EXPECT_FALSE(fits(x.to(at::kFloat), w.to(at::kFloat)));
  EXPECT_FALSE(fits(x.narrow(0, 0, 3), w));
  EXPECT_FALSE(fits(amid_nan(64, 20).t(), w));
  EXPECT_FALSE(fits(x.narrow(1, 0, 63), w.narrow(1, 0, 63)));
  const at::Tensor dense = w.contiguous();
  EXPECT_FALSE(
      fits(x, can_pack(at::kBFloat16) ? packed_for_products(dense) : at::Tensor(dense.to(at::kFloat))));
}

}  // namespace
}  // namespace lowrank
