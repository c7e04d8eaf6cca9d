#pragma once

#include <cstddef>

namespace lowrank {

// GGML's formats of whole numbers around 0 with one f16 scale d per 256 values: d (q - 1). Each function
// writes the values of one block as f32, bit for bit as gguf.quants.dequantize of the Python package `gguf`.

/// TQ1_0, 54 bytes: q is 0, 1 or 2, five to a byte. A byte b holds the digits of the fraction b / 256 in base
/// 3: digit i is 3 (3^i b mod 256) / 256, rounded down.
/// 0: 32 bytes, digit i of byte j is value 32i + j; 32: 16 bytes, value 160 + 16i + j; 48: 4 bytes of four
/// digits, value 240 + 4i + j; 52: d.
void expand_tq1_0(const std::byte* block, float* out);

/// TQ2_0, 66 bytes: q has 2 bits.
/// 0: values 128h + 32i to 128h + 32i + 31 in bits 2i of bytes 32h to 32h + 31; 64: d.
void expand_tq2_0(const std::byte* block, float* out);

}  // namespace lowrank
