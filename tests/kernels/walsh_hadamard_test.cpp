// The fast transform against the matrix's definition, and H H = n I.
#include "kernels/walsh_hadamard.h"

#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace lowrank {
namespace {

std::vector<double> draws(size_t n) {
  Philox random(3);
  std::vector<double> values(n);
  for (double& value : values) value = random.normal();
  return values;
}

TEST(WalshHadamard, EqualsTheMatrix) {
  for (const size_t n : {1, 2, 4, 8, 64, 2048, 8192}) {
    const std::vector<double> x = draws(n);
    std::vector<double> wanted = x, found = x;
    std::vector<float> single(x.begin(), x.end());
    walsh_hadamard_reference(wanted);
    walsh_hadamard(std::span(found));
    walsh_hadamard(std::span(single));
    for (size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(found[i], wanted[i], 1e-9) << n;
      EXPECT_NEAR(single[i], wanted[i], 2e-3) << n;
    }
  }
}

TEST(WalshHadamard, TwiceIsNTimesTheValues) {
  constexpr size_t n = 1 << 18;
  const std::vector<double> x = draws(n);
  std::vector<double> y = x;
  walsh_hadamard(std::span(y));
  walsh_hadamard(std::span(y));
  for (size_t i = 0; i < n; i += 97) EXPECT_NEAR(y[i], n * x[i], 1e-5);
}

TEST(WalshHadamard, RefusesOtherSizes) {
  std::vector<double> values(12);
  EXPECT_THROW(walsh_hadamard(std::span(values)), Error);
}

}  // namespace
}  // namespace lowrank
