#include "base/cpu_features.h"

#include <cstdint>
#include <cstdlib>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lowrank {

#if defined(__x86_64__)
namespace {

/// The register states that the operating system saves (XCR0).
uint64_t saved_states() {
  uint32_t low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

}  // namespace

CpuFeatures detect_cpu() {
  CpuFeatures found;
  __builtin_cpu_init();
  found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  found.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  found.avx512_vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
  // The compilers' builtins know these two by different names or not at all.
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avx512_bf16 = found.avx512 && (a & (1u << 5)) != 0;
  constexpr uint64_t tile_states = 3u << 17;
  if (found.avx512 && __get_cpuid_count(7, 0, &a, &b, &c, &d))
    found.amx_bf16 =
        (d & (1u << 22)) != 0 && (d & (1u << 24)) != 0 && (saved_states() & tile_states) == tile_states;
  return found;
}
#else
CpuFeatures detect_cpu() {
  return {};
}
#endif

CpuFeatures restricted(CpuFeatures found, std::string_view level) {
  if (level == "native") return found;
  if (level == "avx512bf16") {
    found.amx_bf16 = false;
    return found;
  }
  if (level == "avx512") return {.avx2 = found.avx2, .avx512 = found.avx512};
  if (level == "avx2") return {.avx2 = found.avx2};
  fail(ErrorKind::invalid, "LOWRANK_CPU must be avx2, avx512, avx512bf16 or native, not \"{}\".", level);
}

std::string_view cpu_level() {
  const char* level = std::getenv("LOWRANK_CPU");
  return level && *level ? level : "native";
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = restricted(detect_cpu(), cpu_level());
  return features;
}

std::vector<std::pair<std::string, std::string>> library_limits(const CpuFeatures& found,
                                                                std::string_view level) {
  const CpuFeatures allowed = restricted(found, level);
  if (level == "native") return {};
  if (allowed.avx512_bf16)
    return {{"ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16"},
            {"MKL_ENABLE_INSTRUCTIONS", "AVX512_E3"},
            {"ATEN_CPU_CAPABILITY", "avx512"}};
  if (allowed.avx512)
    return {{"ONEDNN_MAX_CPU_ISA", "AVX512_CORE"},
            {"MKL_ENABLE_INSTRUCTIONS", "AVX512"},
            {"ATEN_CPU_CAPABILITY", "avx512"}};
  if (allowed.avx2)
    return {
        {"ONEDNN_MAX_CPU_ISA", "AVX2"}, {"MKL_ENABLE_INSTRUCTIONS", "AVX2"}, {"ATEN_CPU_CAPABILITY", "avx2"}};
  return {};
}

std::string describe(const CpuFeatures& features) {
  std::string names;
  const auto add = [&](bool present, std::string_view name) {
    if (present) names += (names.empty() ? "" : " ") + std::string(name);
  };
  add(features.avx2, "avx2");
  add(features.avx512, "avx512");
  add(features.avx512_vnni, "avx512_vnni");
  add(features.avx512_bf16, "avx512_bf16");
  add(features.amx_bf16, "amx_bf16");
  return names.empty() ? "none" : names;
}

}  // namespace lowrank
