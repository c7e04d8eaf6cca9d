#include "multiply_adds.h"

#include <utility>

#include "base/cpu_features.h"
#include "kernels/products/cpu/bf16_product_amx.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/products/cpu/bf16_tile_kernel.h"
#endif

namespace lowrank {
namespace {

/// Sums that do not wait for each other: two units of four cycles' latency need eight.
constexpr int chains = 12;
using Chains = std::make_integer_sequence<int, chains>;

float plain(int64_t steps) {
  float sums[chains] = {};
  for (int64_t i = 0; i < steps; ++i) {
    for (float& sum : sums) sum = sum * 0.5F + 1.0F;
  }
  return sums[0];
}

#if defined(__x86_64__)

template <int... chain>
__attribute__((target("avx2,fma"))) float avx2_chains(int64_t steps,
                                                      std::integer_sequence<int, chain...> /*chains*/) {
  const __m256 factor = _mm256_set1_ps(0.5F), term = _mm256_set1_ps(1);
  __m256 sums[] = {_mm256_set1_ps(static_cast<float>(chain))...};
  for (int64_t i = 0; i < steps; ++i) ((sums[chain] = _mm256_fmadd_ps(sums[chain], factor, term)), ...);
  return (_mm256_cvtss_f32(sums[chain]) + ...);
}

template <int... chain>
__attribute__((target("avx512f"))) float avx512_chains(int64_t steps,
                                                       std::integer_sequence<int, chain...> /*chains*/) {
  const __m512 factor = _mm512_set1_ps(0.5F), term = _mm512_set1_ps(1);
  __m512 sums[] = {_mm512_set1_ps(static_cast<float>(chain))...};
  for (int64_t i = 0; i < steps; ++i) ((sums[chain] = _mm512_fmadd_ps(sums[chain], factor, term)), ...);
  return (_mm512_cvtss_f32(sums[chain]) + ...);
}

template <int... chain>
__attribute__((target("avx512f,avx512bf16"))) float bf16_chains(
    int64_t steps, std::integer_sequence<int, chain...> /*chains*/) {
  const __m512bh ones = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  __m512 sums[] = {_mm512_set1_ps(static_cast<float>(chain))...};
  for (int64_t i = 0; i < steps; ++i) ((sums[chain] = _mm512_dpbf16_ps(sums[chain], ones, ones)), ...);
  return (_mm512_cvtss_f32(sums[chain]) + ...);
}

/// Four tiles of sums, one after the other: a product takes 16 cycles, its latency is 52.
constexpr int64_t tile_flops_per_step = int64_t{4} * 2 * 16 * 16 * 32;

__attribute__((target("avx512f,amx-tile,amx-bf16"))) float tile_products(int64_t steps) {
  const TileConfiguration configuration(amx_tile_rows, amx_tile_rows);
  alignas(64) float sums[16 * 16];
  const int64_t stride = 64;
  asm volatile(
      "ldtilecfg %0\n\ttilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"
      "tilezero %%tmm4\n\ttilezero %%tmm5" ::"m"(configuration));
  for (int64_t i = 0; i < steps; ++i)
    asm volatile(
        "tdpbf16ps %tmm5, %tmm4, %tmm0\n\ttdpbf16ps %tmm5, %tmm4, %tmm1\n\t"
        "tdpbf16ps %tmm5, %tmm4, %tmm2\n\ttdpbf16ps %tmm5, %tmm4, %tmm3");
  asm volatile("tilestored %%tmm0, (%0,%1,1)\n\ttilerelease" ::"r"(sums), "r"(stride) : "memory");
  return sums[0];
}

float avx2(int64_t steps) {
  return avx2_chains(steps, Chains{});
}
float avx512(int64_t steps) {
  return avx512_chains(steps, Chains{});
}
float bf16_dots(int64_t steps) {
  return bf16_chains(steps, Chains{});
}

#endif

}  // namespace

MultiplyAdds fastest_multiply_adds([[maybe_unused]] bool bf16) {
#if defined(__x86_64__)
  const CpuFeatures& features = cpu_features();
  if (bf16 && has_amx_bf16()) return {tile_products, tile_flops_per_step};
  if (bf16 && features.avx512_bf16) return {bf16_dots, int64_t{chains} * 64};
  if (features.avx512) return {avx512, int64_t{chains} * 32};
  if (features.avx2) return {avx2, int64_t{chains} * 16};
#endif
  return {plain, int64_t{chains} * 2};
}

}  // namespace lowrank
