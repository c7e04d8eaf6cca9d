#pragma once

#include <cstddef>
#include <span>

#include "formats/dtype.h"

namespace lowrank {

/// True for the K formats that `quantise_k` writes: Q4_K and Q6_K.
bool can_quantise_k(DType dtype);

/// Rounds f32 values to blocks of 256 (formats/k_quants.h). In each run of 32 (Q4_K) or 16 (Q6_K) values the
/// scale, and for Q4_K the minimum, are least-squares fits to the best of several assignments of the values
/// to whole numbers; the runs' scales are then rounded to the block's, and the values once more to those.
/// The package `gguf` writes none of these formats, so there is no reference for the bits.
/// `out` has exactly the bytes of `values`; it may be unaligned. Errors: unsupported for other types; invalid
/// on other sizes, values that are not finite, and scales too large for f16.
void quantise_k(DType dtype, std::span<const float> values, std::span<std::byte> out);

}  // namespace lowrank
