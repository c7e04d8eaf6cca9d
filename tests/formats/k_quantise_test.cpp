// What the K formats lose of the values that they round.
#include "formats/k_quantise.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "formats/block_formats.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

std::vector<float> restored(DType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(*byte_count(type, std::ssize(values)));
  quantise_k(type, values, bytes);
  std::vector<float> out(values.size());
  expand(type, bytes, out);
  return out;
}

/// Root of the squared error as a share of the values' own.
double lost(DType type, const std::vector<float>& values) {
  const std::vector<float> out = restored(type, values);
  double error = 0, whole = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(double{out[i]} - values[i], 2);
    whole += std::pow(double{values[i]}, 2);
  }
  return std::sqrt(error / whole);
}

std::vector<float> normal(double centre, float size) {
  Philox random(3);
  std::vector<float> values(16 * 256);
  for (float& value : values) value = size * (random.normal() + static_cast<float>(centre));
  return values;
}

TEST(KQuantise, LosesLittle) {
  // Reached: 0.070 and 0.017 for normal values.
  for (const float size : {1e-3F, 1.0F, 1e3F}) {
    EXPECT_LT(lost(DType::q4_k, normal(0, size)), 0.08) << size;
    EXPECT_LT(lost(DType::q6_k, normal(0, size)), 0.02) << size;
    EXPECT_LT(lost(DType::q4_k, normal(3, size)), 0.05) << size;
    EXPECT_LT(lost(DType::q4_k, normal(-3, size)), 0.03) << size;
    EXPECT_LT(lost(DType::q6_k, normal(3, size)), 0.02) << size;
  }
}

TEST(KQuantise, WholeNumbersAreExact) {
  std::vector<float> values(256);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 16) * 63.0F;
  EXPECT_EQ(restored(DType::q4_k, values), values);
  for (size_t i = 0; i < values.size(); ++i) values[i] = (static_cast<float>((i * 7) % 64) - 32.0F) * 128.0F;
  for (size_t i = 0; i < values.size(); i += 16) values[i] = -32.0F * 128.0F;
  EXPECT_EQ(restored(DType::q6_k, values), values);
}

TEST(KQuantise, FlatBlocks) {
  EXPECT_EQ(restored(DType::q4_k, std::vector<float>(256)), std::vector<float>(256));
  EXPECT_EQ(restored(DType::q6_k, std::vector<float>(256)), std::vector<float>(256));
  for (const float value : restored(DType::q4_k, std::vector<float>(256, -2))) EXPECT_NEAR(value, -2, 2e-3);
  for (const float value : restored(DType::q4_k, std::vector<float>(256, 2))) EXPECT_NEAR(value, 2, 2e-3);
}

TEST(KQuantise, Errors) {
  std::vector<float> values(256, 1);
  std::vector<std::byte> bytes(144);
  test::expect_error(ErrorKind::unsupported, "Q5_K", "cannot be written",
                     [&] { quantise_k(DType::q5_k, values, bytes); });
  test::expect_error(ErrorKind::invalid, "Q6_K", "do not fill",
                     [&] { quantise_k(DType::q6_k, values, bytes); });
  values[7] = std::numeric_limits<float>::infinity();
  test::expect_error(ErrorKind::invalid, "value 7", "not finite",
                     [&] { quantise_k(DType::q4_k, values, bytes); });
  values.assign(256, 0);
  values[0] = 1e30F;
  test::expect_error(ErrorKind::invalid, "f16", "so large", [&] { quantise_k(DType::q4_k, values, bytes); });
}

}  // namespace
}  // namespace lowrank
