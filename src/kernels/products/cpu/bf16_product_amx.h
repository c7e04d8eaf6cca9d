#pragma once

#include <cstdint>

#include "kernels/products/cpu/bf16_product_avx512bf16.h"

namespace lowrank {

/// True if the processor has bf16 tiles (AMX), LOWRANK_CPU allows them, and the system grants them to this
/// process, for which it is asked once.
bool has_amx_bf16();

/// As bf16_product_avx512bf16, by tiles.
void bf16_product_amx(const Bf16Product& product, int64_t first_row, int64_t last_row, int64_t first_panel,
                      int64_t last_panel);

}  // namespace lowrank
