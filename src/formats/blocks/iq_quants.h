#pragma once

#include <cstddef>

namespace lowrank {

// GGML's formats of 1.6 to 3.4 bits per value: 8 (or 4) neighbouring values are a point p of a grid
// (iq_grids.h), with signs beside it or a shift. Each function writes the 256 values of one block as f32, bit
// for bit as gguf.quants.dequantize of the Python package `gguf`. Group g is values 8g to 8g + 7; byte
// offsets are within the block; d is an f16.

/// IQ1_S, 50 bytes: (d (2s + 1)) (p + t), a 3-bit s and t = 1/8 or -1/8 per 32 values.
/// 0: d; 2: low 8 bits of the point's number per group; 34: a u16 per 32 values with the high 3 bits of its
/// four numbers in bits 0, 3, 6, 9, then s in bits 12 to 14, then whether t is negative.
void expand_iq1_s(const std::byte* block, float* out);

/// IQ1_M, 56 bytes: as IQ1_S with an s per 16 values and a t per group.
/// 0: low 8 bits of the point's number per group; 32: per group a half byte, the low half first, with the
/// number's high 3 bits, then whether t is negative; 48: four u16 with four s each in bits 0, 3, 6, 9, and 4
/// bits of d, the lowest first, in bits 12 to 15.
void expand_iq1_m(const std::byte* block, float* out);

/// IQ2_XXS, 66 bytes: (d (s + 1/2) / 4) p, with signs, a 4-bit s per 32 values.
/// 0: d; 2: 8 bytes per 32 values: four numbers of points, then a u32 of four times 7 bits of signs and s.
void expand_iq2_xxs(const std::byte* block, float* out);

/// IQ2_XS, 74 bytes: the same with an s per 16 values.
/// 0: d; 2: a u16 per group: 9 bits of the point's number, 7 of signs; 66: s, the low half of a byte first.
void expand_iq2_xs(const std::byte* block, float* out);

/// IQ2_S, 82 bytes: the same with 8 bits of signs per group.
/// 0: d; 2: low 8 bits of the point's number per group; 34: signs; 66: high 2 bits of the number, group g in
/// bits 2 (g % 4) of byte g / 4; 74: s, the low half of a byte first.
void expand_iq2_s(const std::byte* block, float* out);

/// IQ3_XXS, 98 bytes: (d (s + 1/2) / 2) p, with signs, a 4-bit s per 32 values; a group is two points of 4.
/// 0: d; 2: the numbers of the 64 points; 66: a u32 per 32 values as in IQ2_XXS.
void expand_iq3_xxs(const std::byte* block, float* out);

/// IQ3_S, 110 bytes: (d (2s + 1)) p, with signs, a 4-bit s per 32 values; a group is two points of 4.
/// 0: d; 2: low 8 bits of the 64 points' numbers; 66: their ninth bits; 74: signs per group; 106: s, the low
/// half of a byte first.
void expand_iq3_s(const std::byte* block, float* out);

}  // namespace lowrank
