// Weights whose blocks are expanded on a device: every format bit for bit, and products with parts in several
// forms.
#include <bit>
#include <cmath>
#include <cstring>
#include <cuda_runtime.h>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "base/half.h"
#include "base/rng.h"
#include "formats/block_formats.h"
#include "kernels/backends/cuda/cuda_kernels.h"
#include "kernels/products/prepared_weight.h"
#include "kernels/tensor_error.h"
#include "support/test_device.h"

namespace lowrank {
namespace {

using enum DType;

constexpr DType formats[] = {q4_0, q4_1, q5_0, q5_1,   q8_0,   q2_k, q3_k,
                             q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4};

std::vector<std::byte> random_bytes(int64_t count) {
  Philox random(7);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

/// Random bits are also infinite and NaN scales; of NaN the sign and payload may differ.
bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

TEST(DeviceBlocks, EveryFormatHasTheReferencesBits) {
  for (const auto order : {test::FiberOrder::ascending, test::FiberOrder::descending}) {
    test::set_fiber_order(order);
    for (const DType dtype : formats) {
      SCOPED_TRACE(std::string(info_of(dtype).name));
      ASSERT_TRUE(has_block_kernel(dtype));
      constexpr int64_t rows = 5, columns = 512;
      const int64_t row_bytes = *byte_count(dtype, columns);
      const std::vector<std::byte> bytes = random_bytes(rows * row_bytes);
      std::vector<float> expected(rows * columns), wide(expected.size());
      std::vector<uint16_t> expected_bf16(expected.size()), narrow(expected.size());
      expand(dtype, bytes, expected);
      expand_bf16(dtype, bytes, expected_bf16);
      ExpandBlocks op{
          reinterpret_cast<const uint8_t*>(bytes.data()), wide.data(), columns, row_bytes, dtype, false};
      ASSERT_EQ(cuda_kernels().expand_blocks(op, rows, nullptr), 0);
      op.out = narrow.data();
      op.bf16 = true;
      ASSERT_EQ(cuda_kernels().expand_blocks(op, rows, nullptr), 0);
      int64_t wrong = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        if (!same(wide[i], expected[i])) ++wrong;
        if (!same(float_from_bf16(narrow[i]), float_from_bf16(expected_bf16[i]))) ++wrong;
      }
      EXPECT_EQ(wrong, 0);
    }
  }
}

TEST(DeviceBlocks, AFormatWithoutAKernelIsRefused) {
  EXPECT_FALSE(has_block_kernel(iq1_s) || has_block_kernel(tq2_0) || has_block_kernel(bf16));
  EXPECT_NE(cuda_kernels().expand_blocks({nullptr, nullptr, 256, 50, iq1_s, false}, 1, nullptr), 0);
}

/// Rows in Q8_0 whose scales are all 0.05.
std::vector<std::byte> q8_blocks(int64_t blocks) {
  constexpr int64_t block_bytes = 34;
  std::vector<std::byte> bytes = random_bytes(blocks * block_bytes);
  const uint16_t scale = f16_from_float(0.05F);
  for (int64_t block = 0; block < blocks; ++block)
    std::memcpy(&bytes[block * block_bytes], &scale, sizeof scale);
  return bytes;
}

class DeviceMatrixProducts : public testing::Test {
 protected:
  void SetUp() override {
    if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  }
};

TEST_F(DeviceMatrixProducts, AreThoseOfTheExpandedParts) {
  constexpr int64_t columns = 96, rows = 11;
  const at::Device device = test::test_device();
  const std::vector<std::byte> bytes = q8_blocks(rows * columns / 32);
  BlockRows in_file{q8_0, bytes.data(), rows, *byte_count(q8_0, columns)};
  for (int32_t row = 0; row < rows; ++row) in_file.places.push_back((row * 3 + 1) % rows);
  at::Tensor stored = at::empty({rows, columns}), in_order = at::empty({rows, columns});
  expand(q8_0, bytes, {stored.mutable_data_ptr<float>(), static_cast<size_t>(stored.numel())});
  for (int64_t row = 0; row < rows; ++row) in_order[in_file.places[row]].copy_(stored[row]);
  const at::Tensor dense = at::randn({7, columns}), coded = at::randn({5, columns});
  const Nf4 codes = quantise_nf4(coded);
  at::Tensor rounded = at::empty({5, columns});
  expand_nf4(codes, dynamic_map(), 0, rounded);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    DeviceMatrix matrix(columns, device);
    matrix.add(in_file);
    matrix.add(codes, 5);
    matrix.add(dense.to(type));
    EXPECT_EQ(matrix.bytes(),
              std::ssize(bytes) + 5 * columns / 2 + 8 + 4 + 7 * columns * dense.to(type).element_size());
    const PreparedWeight weight = PreparedWeight::on_device(std::move(matrix), type);
    const at::Tensor w = at::cat({in_order, rounded, dense}).to(type);
    ASSERT_EQ(weight.out(), w.size(0));
    EXPECT_TRUE(at::equal(weight.rows(0, w.size(0), type).cpu(), w));
    EXPECT_TRUE(at::equal(weight.rows(9, 14, at::kFloat).cpu().to(type), w.narrow(0, 9, 5)));
    const at::Tensor x = at::randn({4, columns}).to(type), dy = at::randn({4, w.size(0)}).to(type);
    const double close = type == at::kFloat ? 1e-5 : 0.02;
    const auto exact = [](const at::Tensor& a, const at::Tensor& b) {
      return at::matmul(a.to(at::kDouble), b.to(at::kDouble));
    };
    EXPECT_LT(relative(weight.forward(x.to(device)).cpu(), exact(x, w.t())), close);
    EXPECT_LT(relative(weight.input_gradient(dy.to(device)).cpu(), exact(dy, w)), close);
    EXPECT_LT(relative(weight.forward(x.to(device), 3, 20).cpu(), exact(x, w.narrow(0, 3, 17).t())), close);
  }
}

}  // namespace
}  // namespace lowrank
