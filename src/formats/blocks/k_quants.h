#pragma once

#include <cstddef>

namespace lowrank {

// GGML's K formats: 256 values share f16 scales d (and m); runs of 16 or 32 of them share a small integer s
// (and t) that scales d (and m). Each function writes the 256 values of one block as f32, bit for bit as
// gguf.quants.dequantize of the Python package `gguf`: every operation is rounded. Blocks may be unaligned.
// Byte offsets are within the block; row r is values 32r to 32r + 31.

/// Q2_K, 84 bytes: (d s) q - (m t), 4-bit s and t per 16 values, 2-bit q.
/// 0: 16 bytes t << 4 | s; 16: q, row 4h + i in bits 2i of bytes 32h to 32h + 31; 80: d; 82: m.
void expand_q2_k(const std::byte* block, float* out);

/// Q3_K, 110 bytes: (d (s - 32)) (q - 4 (1 - b)), a 6-bit s per 16 values, 2-bit q, 1-bit b.
/// 0: b, row r in bit r of 32 bytes; 32: q as in Q2_K; 96: low 4 bits of s, 0 to 7 in the low halves of
/// 8 bytes, 8 to 15 in the high ones; 104: high 2 bits, number i in bits 2 (i / 4) of byte i % 4; 108: d.
void expand_q3_k(const std::byte* block, float* out);

/// Q4_K, 144 bytes: (d s) q - (m t), 6-bit s and t per 32 values, 4-bit q.
/// 0: d; 2: m; 4: s and t, 0 to 3 in the low 6 bits of 4 bytes each, 4 to 7 with their low 4 bits in 4 bytes
/// t << 4 | s and their high 2 bits in the top bits of the bytes of 0 to 3; 16: q, rows 2h and 2h + 1 in the
/// low and the high halves of bytes 32h to 32h + 31.
void expand_q4_k(const std::byte* block, float* out);

/// Q5_K, 176 bytes: as Q4_K with a fifth, highest bit of q.
/// 16: the fifth bit, row r in bit r of 32 bytes; 48: the low 4 bits as in Q4_K.
void expand_q5_k(const std::byte* block, float* out);

/// Q6_K, 210 bytes: (d s) (q - 32), a signed 8-bit s per 16 values, 6-bit q.
/// 0: low 4 bits of q, rows 4h and 4h + 1 in the low halves of bytes 64h to 64h + 63, rows 4h + 2 and 4h + 3
/// in the high ones; 128: high 2 bits, row 4h + i in bits 2i of bytes 32h to 32h + 31; 192: s; 208: d.
void expand_q6_k(const std::byte* block, float* out);

}  // namespace lowrank
