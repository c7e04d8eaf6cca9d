#pragma once

#include <cstddef>

namespace lowrank {

// GGML's formats of 4-bit indices into a fixed table k of 16 unevenly spaced whole numbers. Each function
// writes the values of one block as f32, bit for bit as gguf.quants.dequantize of the Python package `gguf`.
// 32 values take 16 bytes: value j is the low half of byte j, value j + 16 the high half.

/// IQ4_NL, 18 bytes for 32 values: d k[q]. 0: d as f16; 2: q.
void expand_iq4_nl(const std::byte* block, float* out);

/// IQ4_XS, 136 bytes for 256 values: (d (s - 32)) k[q], a 6-bit s per 32 values.
/// 0: d as f16; 2: high 2 bits of s, number i in bits 2i of a u16; 4: low 4 bits, number i in the low
/// (i even) or high half of byte i / 2; 8: q.
void expand_iq4_xs(const std::byte* block, float* out);

}  // namespace lowrank
