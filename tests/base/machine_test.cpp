#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"

namespace lowrank {
namespace {

TEST(Process, MemoryFollowsAnAllocation) {
  const int64_t before = resident_bytes();
  EXPECT_GT(before, 0);
  {
    std::vector<char> block(64 << 20, 1);
    EXPECT_GT(resident_bytes(), before + (48 << 20));
    // An index that the compiler cannot know keeps it from optimising the block away.
    const volatile size_t place = block.size() / 2;
    EXPECT_EQ(block[place], 1);
  }
  EXPECT_GE(peak_resident_bytes(), before + (48 << 20));
}

TEST(Process, ClockNeverGoesBack) {
  const double first = monotonic_seconds();
  EXPECT_GE(monotonic_seconds(), first);
}

TEST(Interrupt, FirstSignalSetsTheFlag) {
  for (int signal : {SIGINT, SIGTERM}) {
    const InterruptGuard guard;
    EXPECT_FALSE(interrupted());
    EXPECT_NO_THROW(throw_if_interrupted());
    std::raise(signal);
    EXPECT_TRUE(interrupted());
    EXPECT_EQ(interrupting_signal(), signal);
    EXPECT_THROW(throw_if_interrupted(), Error);
  }
  const InterruptGuard again;
  EXPECT_FALSE(interrupted());
}

TEST(InterruptDeathTest, SecondSignalEndsTheProgram) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto twice = [] {
    const InterruptGuard guard;
    std::raise(SIGINT);
    std::raise(SIGTERM);
  };
  EXPECT_EXIT(twice(), testing::KilledBySignal(SIGTERM), "");
}

TEST(CpuFeatures, LevelsOnlyTakeAway) {
  const CpuFeatures all = {true, true, true, true, true};
  EXPECT_EQ(restricted(all, "native"), all);
  EXPECT_EQ(restricted(all, "avx512"), (CpuFeatures{.avx2 = true, .avx512 = true}));
  EXPECT_EQ(restricted(all, "avx512bf16"), (CpuFeatures{true, true, true, true, false}));
  EXPECT_EQ(restricted(all, "avx2"), (CpuFeatures{.avx2 = true}));
  EXPECT_EQ(restricted({}, "avx2"), CpuFeatures{});
  EXPECT_THROW(restricted(all, "sse"), Error);
  EXPECT_EQ(describe(all), "avx2 avx512 avx512_vnni avx512_bf16 amx_bf16");
  EXPECT_EQ(describe({}), "none");
}

TEST(CpuFeatures, LibrariesAreHeldToTheLevelAndToTheProcessor) {
  const CpuFeatures all = {true, true, true, true, true}, old = {.avx2 = true};
  using Variables = std::vector<std::pair<std::string, std::string>>;
  const Variables avx2{
      {"ONEDNN_MAX_CPU_ISA", "AVX2"}, {"MKL_ENABLE_INSTRUCTIONS", "AVX2"}, {"ATEN_CPU_CAPABILITY", "avx2"}};
  const Variables avx512{{"ONEDNN_MAX_CPU_ISA", "AVX512_CORE"},
                         {"MKL_ENABLE_INSTRUCTIONS", "AVX512"},
                         {"ATEN_CPU_CAPABILITY", "avx512"}};
  const Variables avx512bf16{{"ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16"},
                             {"MKL_ENABLE_INSTRUCTIONS", "AVX512_E3"},
                             {"ATEN_CPU_CAPABILITY", "avx512"}};
  EXPECT_EQ(library_limits(all, "native"), Variables{});
  EXPECT_EQ(library_limits(all, "avx512bf16"), avx512bf16);
  EXPECT_EQ(library_limits(all, "avx2"), avx2);
  EXPECT_EQ(library_limits(all, "avx512"), avx512);
  EXPECT_EQ(library_limits(old, "avx512"), avx2);
  EXPECT_EQ(library_limits(old, "avx512bf16"), avx2);
  EXPECT_EQ(library_limits({}, "avx512"), Variables{});
  EXPECT_THROW(library_limits(all, "AVX2"), Error);
}

TEST(ProcessDeathTest, LibraryDefaultsLeaveWhatTheUserSet) {
  const auto values = [] {
    setenv("LOWRANK_CPU", "avx2", 1);
    setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1);
    unsetenv("ATEN_CPU_CAPABILITY");
    set_library_defaults();
    const char* other = std::getenv("ATEN_CPU_CAPABILITY");
    const bool limited = !detect_cpu().avx2 || (other && std::string(other) == "avx2");
    std::exit(limited && std::string(std::getenv("ONEDNN_MAX_CPU_ISA")) == "SSE41" ? 0 : 1);
  };
  EXPECT_EXIT(values(), testing::ExitedWithCode(0), "");
  const auto wrong = [] {
    setenv("LOWRANK_CPU", "sse", 1);
    set_library_defaults();
  };
  EXPECT_THROW(wrong(), Error);
  unsetenv("LOWRANK_CPU");
}

TEST(CpuFeatures, DetectionIsConsistent) {
  const CpuFeatures found = detect_cpu();
  RecordProperty("found", describe(found));
  EXPECT_EQ(found, detect_cpu());
  EXPECT_TRUE(found.avx512 || !(found.avx512_bf16 || found.avx512_vnni || found.amx_bf16));
  EXPECT_TRUE(found.avx2 || !found.avx512);
}

}  // namespace
}  // namespace lowrank
