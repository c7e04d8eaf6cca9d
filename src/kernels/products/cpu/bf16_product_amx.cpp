#include "kernels/products/cpu/bf16_product_amx.h"

#include "base/cpu_features.h"
#include "base/error.h"

#if defined(__x86_64__) && defined(__linux__)

#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/products/cpu/bf16_tile_kernel.h"

// Instructions of tiles are written out: the compilers' functions for them take numbers of tiles that
// templates cannot compute.
#define LOWRANK_AMX LOWRANK_TILES inline __attribute__((always_inline))

namespace lowrank {
namespace {

class AmxTiles {
 public:
  AmxTiles() = default;
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
  /// Without tiles in use, the system saves and restores less.
  LOWRANK_TILES ~AmxTiles() { asm volatile("tilerelease" ::: "memory"); }

  LOWRANK_TILES void configure(int upper, int lower) {
    const TileConfiguration all(upper, lower);
    asm volatile("ldtilecfg %0" ::"m"(all) : "memory");
  }

  template <int tile>
  LOWRANK_AMX void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(tile));
  }

  template <int tile>
  LOWRANK_AMX void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
  }

  template <int tile>
  LOWRANK_AMX void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
  }

  template <int sums, int x, int panel>
  LOWRANK_AMX void multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(x), "i"(panel));
  }
};

/// Linux gives a process the state of tiles on request (Documentation/arch/x86/xstate.rst).
bool request_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

bool has_amx_bf16() {
  static const bool granted = has_avx512bf16() && cpu_features().amx_bf16 && request_tiles();
  return granted;
}

void bf16_product_amx(const Bf16Product& product, int64_t first_row, int64_t last_row, int64_t first_panel,
                      int64_t last_panel) {
  PanelWorker<TileKernel<AmxTiles>>(product, first_row, last_row).run(first_panel, last_panel);
}

}  // namespace lowrank

#else

namespace lowrank {

bool has_amx_bf16() {
  return false;
}

void bf16_product_amx(const Bf16Product& /*product*/, int64_t /*first_row*/, int64_t /*last_row*/,
                      int64_t /*first_panel*/, int64_t /*last_panel*/) {
  fail(ErrorKind::unsupported, "this processor has no tiles of bf16");
}

}  // namespace lowrank

#endif
