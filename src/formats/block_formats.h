#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/dtype.h"

namespace lowrank {

/// True for the types that `expand` reads: floating point and the block formats.
bool can_expand(DType dtype);

/// Writes the stored values as f32, bit for bit as the Python package `gguf` does (GGML's formulas, each
/// operation rounded): Q4_0 d(q-8), Q4_1 dq+m, Q5_0 d(q-16), Q5_1 dq+m, Q8_0 dq over blocks of 32 values; the
/// other formats as in the headers of blocks/.
/// `source` holds exactly `out.size()` values in whole blocks; it may be unaligned. Errors: invalid on other
/// sizes, unsupported for integer types.
void expand(DType dtype, std::span<const std::byte> source, std::span<float> out);

/// The same as bf16 bits, each value rounded once, to nearest even.
void expand_bf16(DType dtype, std::span<const std::byte> source, std::span<uint16_t> out);

}  // namespace lowrank
