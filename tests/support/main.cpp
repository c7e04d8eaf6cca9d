// The tests' main: like the program's, it lets LOWRANK_CPU restrict which instructions are used. A level that
// this processor lacks would test another one, so the run is skipped with a message (CTest sees it from the
// exit code).
#include <cstdio>

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernels/core/prepare_kernels.h"

namespace {

/// Each test draws the same random numbers in every run, whichever other tests run; different ones with
/// --gtest_shuffle.
class SeedEachTest : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    const int shuffled = testing::GTEST_FLAG(shuffle) ? testing::UnitTest::GetInstance()->random_seed() : 0;
    at::manual_seed(static_cast<uint64_t>(17 + shuffled));
  }
};

}  // namespace

int main(int count, char** values) {
  testing::InitGoogleTest(&count, values);
  try {
    lowrank::prepare_kernels();
  } catch (const lowrank::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  const std::string level(lowrank::cpu_level());
  const lowrank::CpuFeatures& allowed = lowrank::cpu_features();
  constexpr int skipped = 77;
  const lowrank::CpuFeatures found = lowrank::detect_cpu();
  if ((level == "avx2" && !allowed.avx2) || (level == "avx512" && !allowed.avx512) ||
      (level == "avx512bf16" && !allowed.avx512_bf16)) {
    std::printf("skipped: LOWRANK_CPU=%s, and this processor has %s\n", level.c_str(),
                lowrank::describe(found).c_str());
    return skipped;
  }
  if (level == "avx512bf16" && allowed == found) {
    std::printf("skipped: without AMX this processor is tested as it is\n");
    return skipped;
  }
  if (level != "native") std::printf("LOWRANK_CPU=%s\n", level.c_str());
  testing::UnitTest::GetInstance()->listeners().Append(new SeedEachTest);  // gtest takes it
  return RUN_ALL_TESTS();
}
