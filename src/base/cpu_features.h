#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank {

/// What the processor and the operating system allow. All false on processors other than x86-64.
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2 and FMA
  bool avx512 = false;       ///< AVX-512 F, BW, VL and DQ together
  bool avx512_vnni = false;  ///< int8 dot products
  bool avx512_bf16 = false;  ///< bf16 dot products
  bool amx_bf16 = false;     ///< bf16 tiles

  bool operator==(const CpuFeatures&) const = default;
};

/// What the machine has, queried from the processor on every call.
CpuFeatures detect_cpu();

/// `found` restricted to `level`: "avx2" has no AVX-512 and no AMX, "avx512" only AVX-512 F, BW, VL and DQ,
/// "avx512bf16" everything but AMX, "native" everything. Errors: invalid for any other level.
CpuFeatures restricted(CpuFeatures found, std::string_view level);

/// The environment variable LOWRANK_CPU (avx2, avx512, avx512bf16 or native), "native" if it is unset or
/// empty.
std::string_view cpu_level();

/// What the program may use: detect_cpu(), restricted to cpu_level() as it was at the first call. Our own
/// kernels follow it (kernels/core/prepare_kernels.h); libtorch and its libraries follow the variables below.
const CpuFeatures& cpu_features();

/// The environment variables, with values, that limit libtorch's kernels, oneDNN and MKL to `level` on a
/// processor that has `found`; none for "native". MKL obeys only on Intel processors. libtorch trusts its
/// variable about what the processor has, so its value never exceeds `found`.
std::vector<std::pair<std::string, std::string>> library_limits(const CpuFeatures& found,
                                                                std::string_view level);

/// For messages: "avx2 avx512 avx512_bf16", or "none".
std::string describe(const CpuFeatures& features);

}  // namespace lowrank
