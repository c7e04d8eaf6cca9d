#pragma once

#include <cstddef>
#include <span>

#include "formats/dtype.h"

namespace lowrank {

/// True for the types that `quantise` writes: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
bool can_quantise(DType dtype);

/// The inverse of `expand`: writes f32 values in a stored type, bit for bit as gguf.quants.quantize of the
/// Python package `gguf` does (each operation rounded to f32, scales rounded to f16 last). Over blocks of 32:
/// Q8_0 d = max|x| / 127, q = round(x / d); Q4_0 and Q5_0 d = -x_m / 8 (16) with x_m the first value of
/// largest magnitude, q = trunc(x / d + 8.5 (16.5)); Q4_1 and Q5_1 d = (max - min) / 15 (31),
/// q = trunc((x - min) / d + 0.5); x / d is x times the rounded 1 / d. Two cases that the package leaves to
/// chance are settled here: among zeros of both signs -0 is the minimum, and 1 / d counts as 0 if it
/// overflows (that block's d is stored as zero anyway).
/// `out` has exactly the bytes of `values` in whole blocks; it may be unaligned. Errors: unsupported for
/// other types; invalid on other sizes, values that are not finite, and values or scales too large for the
/// type.
void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out);

}  // namespace lowrank
