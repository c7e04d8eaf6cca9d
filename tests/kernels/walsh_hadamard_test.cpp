// The fast transform against the matrix's definition, H H = n I, and f32 bit for bit against one stage after
// the other on every Highway target that this machine has.
#include "kernels/operations/walsh_hadamard.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/core/parallel.h"
#include "kernels/highway_target.h"

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

class WalshHadamardOn : public OnTarget<int64_t> {};

TEST_P(WalshHadamardOn, IsOneStageAfterTheOther) {
  const int usual = thread_count();
  for (size_t n = 1; n <= 1 << 19; n *= 2) {
    const std::vector<double> x = draws(n);
    std::vector<float> wanted(x.begin(), x.end());
    walsh_hadamard_stages(std::span(wanted));
    for (const int threads : {1, 2, 3}) {
      std::vector<float> found(x.begin(), x.end());
      set_thread_count(threads);
      walsh_hadamard(std::span(found));
      EXPECT_EQ(std::memcmp(found.data(), wanted.data(), n * sizeof(float)), 0) << n << " " << threads;
    }
  }
  set_thread_count(usual);
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, WalshHadamardOn, testing::ValuesIn(compiled_targets()),
                         [](const auto& test) { return target_name(test.param); });

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
