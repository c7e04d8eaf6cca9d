// Included behind block_panel-inl.h: each function unpacks `count` blocks of 32 values from number `first` on
// of `lanes` rows. formats/block_formats.h and formats/blocks have the layouts.

/// Number of a block's values that one scale is for, and whether a value can exceed 127 (as a byte without
/// sign).
struct Unpacked {
  bool halves = false;
  bool wide = false;
};

using Unpack = void (*)(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead);

/// The values with numbers 0 to 15 in the low halves of 16 bytes, 16 to 31 in the high ones.
HWY_INLINE void put_nibbles(PanelBlock& block, RowPointers rows, int64_t at) {
  Bytes raw[4];
  transposed(rows, at, raw);
  for (int j = 0; j < 4; ++j) {
    put(block, j, bits_of(raw[j], 0, 15));
    put(block, 4 + j, bits_of(raw[j], 4, 15));
  }
}

/// The scale of a block of 32 values that begins at `at`: d, and either m, which follows it, or `offset` d.
template <bool has_minimum>
HWY_INLINE void put_block_scale(PanelBlock& block, RowPointers rows, int64_t at, float offset) {
  const Bytes head = first_words(rows, at);
  const Floats scale = Vectors::low_halves(head);
  put_scale(block, 0, scale,
            has_minimum ? Vectors::low_halves(Vectors::right(head, 16))
                        : Vectors::multiply(scale, Vectors::floats(offset)));
}

void unpack_q4_0(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 18;
  for (int64_t i = 0; i < count; ++i) {
    ahead.fetch();
    put_block_scale<false>(out[i], rows, (first + i) * step, -8);
    put_nibbles(out[i], rows, (first + i) * step + 2);
  }
}

void unpack_q4_1(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 20;
  for (int64_t i = 0; i < count; ++i) {
    ahead.fetch();
    put_block_scale<true>(out[i], rows, (first + i) * step, 0);
    put_nibbles(out[i], rows, (first + i) * step + 4);
  }
}

void unpack_q8_0(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 34;
  for (int64_t i = 0; i < count; ++i) {
    ahead.fetch();
    put_block_scale<false>(out[i], rows, (first + i) * step, -128);
    for (int part = 0; part < 2; ++part) {
      Bytes raw[4];
      transposed(rows, (first + i) * step + 2 + 16 * part, raw);
      for (int j = 0; j < 4; ++j) put(out[i], 4 * part + j, Vectors::differing(raw[j], Vectors::bytes(0x80)));
    }
  }
}

/// Adds bit 4 to the 32 values of a block: bit i of each row's word is that of value i.
HWY_INLINE void add_fifth_bits(PanelBlock& block, Bytes word) {
  for (int j = 0; j < 8; ++j) {
    // Four bits to the lowest bits of four bytes: none of the product's terms meet.
    const Bytes four = Vectors::both(Vectors::right(word, 4 * j), Vectors::words(15));
    const Bytes apart =
        Vectors::both(Vectors::multiply_words(four, Vectors::words(0x00204081)), Vectors::bytes(1));
    put(block, j, Vectors::either(Vectors::load(block.values[j]), Vectors::left(apart, 4)));
  }
}

template <bool has_minimum>
HWY_INLINE void unpack_five_bits(RowPointers rows, int64_t first, int64_t count, PanelBlock* out,
                                 Ahead& ahead) {
  constexpr int64_t step = has_minimum ? 24 : 22, bits = has_minimum ? 4 : 2;
  for (int64_t i = 0; i < count; ++i) {
    ahead.fetch();
    const int64_t at = (first + i) * step;
    put_block_scale<has_minimum>(out[i], rows, at, -16);
    put_nibbles(out[i], rows, at + bits + 4);
    add_fifth_bits(out[i], first_words(rows, at + bits));
  }
}

void unpack_q5_0(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  unpack_five_bits<false>(rows, first, count, out, ahead);
}

void unpack_q5_1(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  unpack_five_bits<true>(rows, first, count, out, ahead);
}

/// The values of IQ4's nibbles, plus 128.
alignas(16) constexpr uint8_t iq4_values[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                129, 141, 153, 166, 181, 197, 217, 241};

/// The values 128 + table[nibble].
HWY_INLINE void put_table_nibbles(PanelBlock& block, RowPointers rows, int64_t at) {
  Bytes raw[4];
  transposed(rows, at, raw);
  for (int j = 0; j < 4; ++j) {
    put(block, j, Vectors::looked_up(iq4_values, bits_of(raw[j], 0, 15)));
    put(block, 4 + j, Vectors::looked_up(iq4_values, bits_of(raw[j], 4, 15)));
  }
}

void unpack_iq4_nl(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 18;
  for (int64_t i = 0; i < count; ++i) {
    ahead.fetch();
    put_block_scale<false>(out[i], rows, (first + i) * step, -128);
    put_table_nibbles(out[i], rows, (first + i) * step + 2);
  }
}

void unpack_iq4_xs(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 136;
  for (int64_t block = 0; block < count; block += 8) {
    const int64_t at = (first + block) / 8 * step;
    Bytes head[4];
    transposed(rows, at, head);
    const Floats d = Vectors::low_halves(head[0]);
    const Bytes high = Vectors::right(head[0], 16);
    for (int i = 0; i < 8; ++i) {
      ahead.fetch();
      const Bytes low = Vectors::both(Vectors::right(head[1], 4 * i), Vectors::words(15));
      const Bytes top = Vectors::left(Vectors::both(Vectors::right(high, 2 * i), Vectors::words(3)), 4);
      const Floats s = Vectors::multiply(
          d, Vectors::added(Vectors::numbers(Vectors::either(low, top)), Vectors::floats(-32)));
      put_scale(out[block + i], 0, s, Vectors::multiply(s, Vectors::floats(-128)));
      put_table_nibbles(out[block + i], rows, at + 8 + 16 * i);
    }
  }
}
