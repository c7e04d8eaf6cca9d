// Included behind block_unpack-inl.h: the K formats, 256 values in a block (formats/blocks/k_quants.h has the
// layouts). In row r of a block, 32 values; runs of 16 or 32 have scales.

/// The 6-bit scales and minimums of Q4_K and Q5_K, from the first 16 bytes of a block.
HWY_INLINE void put_shared_scales(const Bytes head[4], PanelBlock* out) {
  const Floats d = Vectors::low_halves(head[0]);
  const Floats m = Vectors::multiply(Vectors::low_halves(Vectors::right(head[0], 16)), Vectors::floats(-1));
  const Bytes six = Vectors::words(63), four = Vectors::words(15), two = Vectors::words(0x30);
  for (int i = 0; i < 4; ++i) {
    const Bytes s = Vectors::right(head[1], 8 * i), t = Vectors::right(head[2], 8 * i);
    const Bytes low = Vectors::right(head[3], 8 * i);
    put_scale(out[i], 0, Vectors::multiply(d, Vectors::numbers(Vectors::both(s, six))),
              Vectors::multiply(m, Vectors::numbers(Vectors::both(t, six))));
    const Bytes s4 = Vectors::either(Vectors::both(low, four), Vectors::both(Vectors::right(s, 2), two));
    const Bytes t4 = Vectors::either(Vectors::both(Vectors::right(low, 4), four),
                                     Vectors::both(Vectors::right(t, 2), two));
    put_scale(out[4 + i], 0, Vectors::multiply(d, Vectors::numbers(s4)),
              Vectors::multiply(m, Vectors::numbers(t4)));
  }
}

void unpack_q4_k(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  for (int64_t block = 0; block < count; block += 8, out += 8) {
    const int64_t at = (first + block) / 8 * 144;
    Bytes head[4], raw[4];
    transposed(rows, at, head);
    put_shared_scales(head, out);
    for (int pair = 0; pair < 4; ++pair) {
      ahead.fetch();
      ahead.fetch();
      for (int part = 0; part < 2; ++part) {
        transposed(rows, at + 16 + 32 * pair + 16 * part, raw);
        for (int j = 0; j < 4; ++j) {
          put(out[2 * pair], 4 * part + j, bits_of(raw[j], 0, 15));
          put(out[2 * pair + 1], 4 * part + j, bits_of(raw[j], 4, 15));
        }
      }
    }
  }
}

void unpack_q5_k(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  for (int64_t block = 0; block < count; block += 8, out += 8) {
    const int64_t at = (first + block) / 8 * 176;
    Bytes head[4], raw[4], high[8];
    transposed(rows, at, head);
    put_shared_scales(head, out);
    transposed(rows, at + 16, high);
    transposed(rows, at + 32, high + 4);
    for (int pair = 0; pair < 4; ++pair) {
      ahead.fetch();
      ahead.fetch();
      for (int part = 0; part < 2; ++part) {
        transposed(rows, at + 48 + 32 * pair + 16 * part, raw);
        for (int j = 0; j < 4; ++j) {
          const Bytes fifth = high[4 * part + j];
          put(out[2 * pair], 4 * part + j,
              Vectors::either(bits_of(raw[j], 0, 15), Vectors::left(bits_of(fifth, 2 * pair, 1), 4)));
          put(out[2 * pair + 1], 4 * part + j,
              Vectors::either(bits_of(raw[j], 4, 15), Vectors::left(bits_of(fifth, 2 * pair + 1, 1), 4)));
        }
      }
    }
  }
}

/// Two bits of each byte as bits 4 and 5.
HWY_INLINE Bytes top_bits(Bytes high, int shift) {
  return Vectors::left(bits_of(high, shift, 3), 4);
}

void unpack_q6_k(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 210;
  uint16_t d[panel_blocks / 8][lanes];
  gather(rows, first / 8 * step + 208, step, count / 8, d);
  for (int64_t block = 0; block < count; block += 8, out += 8) {
    const int64_t at = (first + block) / 8 * step;
    const Floats scale = Vectors::halves(d[block / 8]);
    Bytes runs[4], a[4], b[4], high[4];
    transposed(rows, at + 192, runs);
    for (int run = 0; run < 16; ++run) {
      const Bytes s = Vectors::signed_right(Vectors::left(runs[run / 4], 24 - run % 4 * 8), 24);
      const Floats own = Vectors::multiply(scale, Vectors::numbers(s));
      put_scale(out[run / 2], run % 2, own, Vectors::multiply(own, Vectors::floats(-32)));
    }
    for (int side = 0; side < 4; ++side) {
      const int half = side / 2, part = side % 2;
      ahead.fetch();
      ahead.fetch();
      transposed(rows, at + 64 * half + 16 * part, a);
      transposed(rows, at + 64 * half + 32 + 16 * part, b);
      transposed(rows, at + 128 + 32 * half + 16 * part, high);
      PanelBlock* own = out + 4 * half;
      for (int j = 0; j < 4; ++j) {
        const int to = 4 * part + j;
        put(own[0], to, Vectors::either(bits_of(a[j], 0, 15), top_bits(high[j], 0)));
        put(own[1], to, Vectors::either(bits_of(b[j], 0, 15), top_bits(high[j], 2)));
        put(own[2], to, Vectors::either(bits_of(a[j], 4, 15), top_bits(high[j], 4)));
        put(own[3], to, Vectors::either(bits_of(b[j], 4, 15), top_bits(high[j], 6)));
      }
    }
  }
}

/// The 2-bit values of Q2_K and Q3_K: row 4h + i in bits 2i of 32 bytes.
HWY_INLINE void put_two_bits(RowPointers rows, int64_t at, PanelBlock* out, Ahead& ahead) {
  for (int side = 0; side < 4; ++side) {
    const int half = side / 2, part = side % 2;
    Bytes raw[4];
    ahead.fetch();
    ahead.fetch();
    transposed(rows, at + 32 * half + 16 * part, raw);
    for (int row = 0; row < 4; ++row) {
      for (int j = 0; j < 4; ++j) put(out[4 * half + row], 4 * part + j, bits_of(raw[j], 2 * row, 3));
    }
  }
}

void unpack_q2_k(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  constexpr int64_t step = 84;
  uint16_t d[panel_blocks / 8][lanes], m[panel_blocks / 8][lanes];
  gather(rows, first / 8 * step + 80, step, count / 8, d);
  gather(rows, first / 8 * step + 82, step, count / 8, m);
  for (int64_t block = 0; block < count; block += 8, out += 8) {
    const int64_t at = (first + block) / 8 * step;
    const Floats scale = Vectors::halves(d[block / 8]);
    const Floats minimum = Vectors::multiply(Vectors::halves(m[block / 8]), Vectors::floats(-1));
    Bytes runs[4];
    transposed(rows, at, runs);
    for (int run = 0; run < 16; ++run) {
      const Bytes both = byte_of(runs, run);
      put_scale(out[run / 2], run % 2,
                Vectors::multiply(scale, Vectors::numbers(Vectors::both(both, Vectors::words(15)))),
                Vectors::multiply(minimum, Vectors::numbers(Vectors::right(both, 4))));
    }
    put_two_bits(rows, at + 16, out, ahead);
  }
}

void unpack_q3_k(RowPointers rows, int64_t first, int64_t count, PanelBlock* out, Ahead& ahead) {
  for (int64_t block = 0; block < count; block += 8, out += 8) {
    const int64_t at = (first + block) / 8 * 110;
    // The last 16 bytes: two of values, twelve of scales, d.
    Bytes tail[4], high[8];
    transposed(rows, at + 94, tail);
    const Floats d = Vectors::low_halves(Vectors::right(tail[3], 16));
    for (int run = 0; run < 16; ++run) {
      const Bytes low =
          Vectors::both(Vectors::right(byte_of(tail, 2 + run % 8), run / 8 * 4), Vectors::words(15));
      const Bytes top =
          Vectors::both(Vectors::right(byte_of(tail, 10 + run % 4), run / 4 * 2), Vectors::words(3));
      const Floats s =
          Vectors::multiply(d, Vectors::added(Vectors::numbers(Vectors::either(low, Vectors::left(top, 4))),
                                              Vectors::floats(-32)));
      put_scale(out[run / 2], run % 2, s, Vectors::multiply(s, Vectors::floats(-4)));
    }
    put_two_bits(rows, at + 32, out, ahead);
    transposed(rows, at, high);
    transposed(rows, at + 16, high + 4);
    for (int row = 0; row < 8; ++row) {
      for (int j = 0; j < 8; ++j)
        put(out[row], j,
            Vectors::either(Vectors::load(out[row].values[j]), Vectors::left(bits_of(high[j], row, 1), 2)));
    }
  }
}
