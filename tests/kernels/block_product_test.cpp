// Products with blocks against plain loops in f64, for all formats, on the kernels of each processor level.
#include "kernels/blocks/block_product.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/half.h"
#include "base/rng.h"
#include "formats/block_formats.h"
#include "kernels/blocks/cpu/block_kernels.h"
#include "kernels/core/parallel.h"
#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

/// Offsets of the f16 scales in a block of a format, by its bytes; -1: none.
struct ScalePlaces {
  DType dtype;
  int d, m;
};

constexpr ScalePlaces scale_places[] = {
    {DType::q4_0, 0, -1},   {DType::q4_1, 0, 2},    {DType::q5_0, 0, -1},   {DType::q5_1, 0, 2},
    {DType::q8_0, 0, -1},   {DType::q2_k, 80, 82},  {DType::q3_k, 108, -1}, {DType::q4_k, 0, 2},
    {DType::q5_k, 0, 2},    {DType::q6_k, 208, -1}, {DType::iq4_nl, 0, -1}, {DType::iq4_xs, 0, -1},
    {DType::iq2_xs, 0, -1}, {DType::tq2_0, 64, -1}};

/// Random blocks with scales of either sign.
struct RandomBlocks {
  std::vector<std::byte> bytes;
  BlockRows rows;

  RandomBlocks(const ScalePlaces& format, int64_t count, int64_t columns, uint64_t seed) {
    const DTypeInfo& info = info_of(format.dtype);
    const int64_t row_bytes = columns / info.block * info.block_bytes;
    bytes.resize(static_cast<size_t>(count * row_bytes));
    Philox random(seed);
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>(static_cast<int>(random.normal() * 100) & 0xFF);
    for (size_t at = 0; at < bytes.size(); at += info.block_bytes) {
      for (const int place : {format.d, format.m}) {
        if (place < 0) continue;
        const uint16_t bits = f16_from_float(0.01F * random.normal());
        std::memcpy(bytes.data() + at + place, &bits, sizeof bits);
      }
    }
    rows = {format.dtype, bytes.data(), count, row_bytes};
  }
};

double error_of(const at::Tensor& x, const BlockMatrix& w, const std::optional<at::Tensor>& bias,
                BlockInput input) {
  const at::Tensor expected = block_product_reference(x, w, bias, input).to(at::kDouble);
  const at::Tensor error = block_product(x, w, bias, input).to(at::kDouble) - expected;
  return error.abs().max().item<double>() / expected.abs().mean().item<double>();
}

TEST(BlockProductTest, EqualsDoubleForAllFormatsAndNumbersOfRows) {
  for (const ScalePlaces& format : scale_places) {
    const int64_t columns = info_of(format.dtype).block == 256 ? 1280 : 1312;
    const RandomBlocks stored(format, 37, columns, 3);
    const BlockMatrix w{{stored.rows}, 37, columns};
    // More than 128 rows are multiplied in several passes, which no format sees.
    const bool many = format.dtype == DType::q4_1 || format.dtype == DType::q6_k;
    for (const int64_t rows : many ? std::vector<int64_t>{1, 2, 5, 130} : std::vector<int64_t>{1, 3, 17}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", info_of(format.dtype).name, rows));
      const at::Tensor x = at::randn({rows, columns}), bias = at::randn({37});
      EXPECT_LT(error_of(x, w, {}, BlockInput::int8), 2e-5);
      EXPECT_LT(error_of(x, w, bias, BlockInput::int8), 2e-5);
      EXPECT_LT(error_of(x, w, bias, BlockInput::exact), 2e-5);
      EXPECT_LT(error_of(x.to(at::kBFloat16), w, bias, BlockInput::int8), 0.05);
    }
  }
}

TEST(BlockProductTest, PartsOfDifferentTypesAndOrdersAreOneMatrix) {
  const RandomBlocks first({DType::q4_k, 0, 2}, 32, 512, 1), second({DType::iq2_xs, 0, -1}, 7, 512, 2),
      third({DType::q6_k, 208, -1}, 19, 512, 3);
  BlockMatrix w{{first.rows, second.rows, third.rows}, 58, 512};
  w.parts[0].places.resize(32);
  for (int i = 0; i < 32; ++i) w.parts[0].places[i] = i % 2 * 16 + i / 2;
  for (const int64_t rows : {1, 6}) {
    const at::Tensor x = at::randn({rows, 512});
    EXPECT_LT(error_of(x, w, {}, BlockInput::int8), 2e-5);
    EXPECT_LT(error_of(x, w, {}, BlockInput::exact), 2e-5);
  }
}

/// Rounding the input to 8 bits changes a random product by less than a hundredth of its size.
TEST(BlockProductTest, RoundedInputsAreCloseToExactOnes) {
  const RandomBlocks stored({DType::q4_1, 0, 2}, 48, 2048, 5);
  const BlockMatrix w{{stored.rows}, 48, 2048};
  const at::Tensor x = at::randn({9, 2048});
  const at::Tensor exact = block_product(x, w, {}, BlockInput::exact);
  const at::Tensor error = block_product(x, w, {}, BlockInput::int8) - exact;
  const double share = error.norm().item<double>() / exact.norm().item<double>();
  EXPECT_GT(share, 1e-4);
  EXPECT_LT(share, 0.01);
}

TEST(BlockProductTest, DoesNotDependOnThreadsOrOtherRows) {
  const RandomBlocks stored({DType::q5_k, 0, 2}, 333, 768, 6);
  const BlockMatrix w{{stored.rows}, 333, 768};
  const at::Tensor x = at::randn({21, 768});
  const int before = thread_count();
  set_thread_count(1);
  const at::Tensor alone = block_product(x, w, {}, BlockInput::int8);
  set_thread_count(3);
  EXPECT_TRUE(at::equal(alone, block_product(x, w, {}, BlockInput::int8)));
  set_thread_count(before);
  EXPECT_TRUE(at::equal(alone.narrow(0, 18, 1), block_product(x.narrow(0, 18, 1), w, {}, BlockInput::int8)));
}

TEST(BlockProductTest, ZerosTinyAndNonFiniteInputs) {
  const RandomBlocks stored({DType::q8_0, 0, -1}, 16, 64, 7);
  const BlockMatrix w{{stored.rows}, 16, 64};
  const auto of = [&](double value) {
    return block_product(at::full({1, 64}, value, at::kFloat), w, {}, BlockInput::int8);
  };
  EXPECT_EQ(of(0).abs().max().item<float>(), 0);
  EXPECT_EQ(of(1e-40).abs().max().item<float>(), 0);
  EXPECT_GT(of(1e-30).abs().max().item<float>(), 0);
  EXPECT_TRUE(std::isnan(of(std::numeric_limits<double>::infinity()).sum().item<float>()));
  EXPECT_TRUE(std::isnan(of(std::numeric_limits<double>::quiet_NaN()).sum().item<float>()));
  EXPECT_EQ(block_product(at::randn({0, 64}), w, {}, BlockInput::int8).size(0), 0);
}

}  // namespace
}  // namespace lowrank
