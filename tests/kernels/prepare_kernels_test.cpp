// CTest runs this at every level of LOWRANK_CPU that the processor has.
#include "kernels/core/prepare_kernels.h"

#include <cstdlib>
#include <string>

#include <ATen/Version.h>
#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "kernels/core/cpu/targets_cpu.h"
#include "kernels/products/products.h"

namespace lowrank {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

TEST(PrepareKernels, LevelHoldsKernelsAndLibraries) {
  const std::string level(cpu_level());
  const std::string target = dispatched_target_cpu();
  RecordProperty("target", target);
  std::printf("LOWRANK_CPU %s: our kernels %s, libtorch %s, bf16 is %s\n", level.c_str(), target.c_str(),
              at::get_cpu_capability().c_str(), bf16_is_fast() ? "fast" : "computed in f32");
  if (level == "native") {
    EXPECT_EQ(cpu_features(), detect_cpu());
    // Kernels of bf16 pairs are compiled for this target alone.
    if (cpu_features().avx512_bf16) {
      EXPECT_EQ(target, "AVX3");
    }
    return;
  }
  EXPECT_EQ(bf16_is_fast(), level == "avx512bf16");
  EXPECT_EQ(target, level == "avx2" ? "AVX2" : "AVX3");
  EXPECT_EQ(at::get_cpu_capability(), level == "avx2" ? "AVX2" : "AVX512");
  EXPECT_EQ(variable("ONEDNN_MAX_CPU_ISA"), level == "avx2"         ? "AVX2"
                                            : level == "avx512bf16" ? "AVX512_CORE_BF16"
                                                                    : "AVX512_CORE");
}

}  // namespace
}  // namespace lowrank
