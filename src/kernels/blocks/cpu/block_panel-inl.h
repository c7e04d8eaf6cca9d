// Included inside a namespace of one processor level, behind its `Vectors`. A panel holds 32 values each of
// as many rows as a vector has lanes of 4 bytes: vector j the values 4j to 4j + 3 of all rows, as a dot
// product of four bytes reads them.

constexpr int lanes = Vectors::lanes;
constexpr int vector_bytes = 4 * lanes;
/// Blocks of 32 values of a row that are unpacked at a time: 1,024 values, which stay in the first-level
/// cache.
constexpr int64_t panel_blocks = 32;

using Bytes = Vectors::Bytes;
using Floats = Vectors::Floats;
using RowPointers = const std::byte* const*;

/// 32 values q >= 0 of each row. What they stand for is scale q + minimum, each for all of them or for 16.
struct alignas(64) PanelBlock {
  uint8_t values[8][vector_bytes];
  float scales[2][lanes];
  float minimums[2][lanes];
};

/// Memory of the rows that follow, requested a few lines at a time.
struct Ahead {
  const std::byte* next = nullptr;
  const std::byte* end = nullptr;
  int64_t lines = 0;  ///< per panel block

  HWY_INLINE void fetch() {
    constexpr int read = 0, first_level = 3;
    for (int64_t i = 0; i < lines && next < end; ++i, next += 64) __builtin_prefetch(next, read, first_level);
  }
};

/// Bytes [at, at + 16) of all rows: out[j] has bytes 4j to 4j + 3 of each.
HWY_INLINE void transposed(RowPointers rows, int64_t at, Bytes out[4]) {
  const Bytes a = Vectors::rows_from(rows, at), b = Vectors::rows_from(rows + 1, at);
  const Bytes c = Vectors::rows_from(rows + 2, at), d = Vectors::rows_from(rows + 3, at);
  const Bytes ab = Vectors::low32(a, b), ab2 = Vectors::high32(a, b);
  const Bytes cd = Vectors::low32(c, d), cd2 = Vectors::high32(c, d);
  out[0] = Vectors::low64(ab, cd);
  out[1] = Vectors::high64(ab, cd);
  out[2] = Vectors::low64(ab2, cd2);
  out[3] = Vectors::high64(ab2, cd2);
}

/// Bytes [at, at + 4) of all rows; reads 16 of each.
HWY_INLINE Bytes first_words(RowPointers rows, int64_t at) {
  const Bytes ab = Vectors::low32(Vectors::rows_from(rows, at), Vectors::rows_from(rows + 1, at));
  const Bytes cd = Vectors::low32(Vectors::rows_from(rows + 2, at), Vectors::rows_from(rows + 3, at));
  return Vectors::low64(ab, cd);
}

/// out[i][r]: the number at `at` + i `step` of row r.
template <class T>
HWY_INLINE void gather(RowPointers rows, int64_t at, int64_t step, int64_t count, T (*out)[lanes]) {
  for (int r = 0; r < lanes; ++r) {
    const std::byte* from = rows[r] + at;
    for (int64_t i = 0; i < count; ++i, from += step) std::memcpy(&out[i][r], from, sizeof(T));
  }
}

/// Bits [shift, shift + width) of each byte, `width` given as a mask of a byte.
HWY_INLINE Bytes bits_of(Bytes v, int shift, uint8_t mask) {
  return Vectors::both(shift == 0 ? v : Vectors::right(v, shift), Vectors::bytes(mask));
}

/// Byte `index` of `words`, each the bytes of all rows, as one number per row.
HWY_INLINE Bytes byte_of(const Bytes* words, int index) {
  return Vectors::both(Vectors::right(words[index / 4], index % 4 * 8), Vectors::words(0xFF));
}

HWY_INLINE void put(PanelBlock& block, int j, Bytes values) {
  Vectors::store(block.values[j], values);
}

HWY_INLINE void put_scale(PanelBlock& block, int half, Floats scale, Floats minimum) {
  Vectors::store(block.scales[half], scale);
  Vectors::store(block.minimums[half], minimum);
}
