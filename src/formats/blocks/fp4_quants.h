#pragma once

#include <cstddef>

namespace lowrank {

// Formats of 4-bit floating-point numbers (E2M1: one sign, two bits of exponent, one of mantissa) with shared
// 8-bit scales s. Twice an E2M1 is a whole number k of 0, 1, 2, 3, 4, 6, 8, 12 or its negative, so a value is
// (s / 2) k. Each function writes the values of one block as f32, bit for bit as gguf.quants.dequantize of
// the Python package `gguf`. Of n values that share a scale, value j is the low half of byte j, value j + n/2
// the high half.

/// MXFP4 (OCP Microscaling Formats 1.0), 17 bytes for 32 values: s = 2^(e - 127).
/// 0: e; 1: the values.
void expand_mxfp4(const std::byte* block, float* out);

/// NVFP4, 36 bytes for 64 values: an s per 16 of them, an E4M3 without its sign; 0x7F is 0.
/// 0: the four s; 4: the values.
void expand_nvfp4(const std::byte* block, float* out);

}  // namespace lowrank
