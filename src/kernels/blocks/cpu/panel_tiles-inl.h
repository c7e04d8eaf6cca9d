// Included behind block_unpack_k-inl.h: rounding inputs, and the products of tasks.

/// Rows of x that one passage over unpacked blocks can serve before the rows are unpacked again.
constexpr int64_t slab_rows = 128;

template <int rows, bool halves, bool wide>
void multiply_tile(const PanelBlock* panel, int64_t blocks, const ActivationBlock* x, bool first,
                   float* sums) {
  Floats sum[rows];
  for (int t = 0; t < rows; ++t) sum[t] = first ? Vectors::floats(0) : Vectors::load(sums + t * lanes);
  for (int64_t block = 0; block < blocks; ++block, ++panel, x += rows) {
    Bytes w[8];
    for (int j = 0; j < 8; ++j) w[j] = Vectors::load(panel->values[j]);
    const Floats scale = Vectors::load(panel->scales[0]), minimum = Vectors::load(panel->minimums[0]);
#pragma GCC unroll 16
    for (int t = 0; t < rows; ++t) {
      const ActivationBlock& own = x[t];
      Bytes dot = Vectors::zero();
      for (int j = 0; j < (halves ? 4 : 8); ++j)
        dot = Vectors::template dot<wide>(dot, w[j], Vectors::broadcast_bytes(own.values + 4 * j));
      const Floats d = Vectors::broadcast(&own.scale);
      sum[t] = Vectors::multiply_add(Vectors::multiply(Vectors::numbers(dot), d), scale, sum[t]);
      sum[t] = Vectors::multiply_add(minimum, Vectors::broadcast(halves ? &own.halves[0] : &own.sum), sum[t]);
      if constexpr (halves) {
        Bytes second = Vectors::zero();
        for (int j = 4; j < 8; ++j)
          second = Vectors::template dot<wide>(second, w[j], Vectors::broadcast_bytes(own.values + 4 * j));
        sum[t] = Vectors::multiply_add(Vectors::multiply(Vectors::numbers(second), d),
                                       Vectors::load(panel->scales[1]), sum[t]);
        sum[t] = Vectors::multiply_add(Vectors::load(panel->minimums[1]), Vectors::broadcast(&own.halves[1]),
                                       sum[t]);
      }
    }
  }
  for (int t = 0; t < rows; ++t) Vectors::store(sums + t * lanes, sum[t]);
}

using Multiply = void (*)(const PanelBlock*, int64_t, const ActivationBlock*, bool, float*);
constexpr int most_rows = Vectors::most_rows;

template <bool halves, bool wide, int... row>
constexpr std::array<Multiply, sizeof...(row)> multiply_table(std::integer_sequence<int, row...> /*rows*/) {
  return {multiply_tile<row + 1, halves, wide>...};
}

using RowCounts = std::make_integer_sequence<int, most_rows>;
constexpr std::array<Multiply, most_rows> whole = multiply_table<false, false>(RowCounts{});
constexpr std::array<Multiply, most_rows> in_halves = multiply_table<true, false>(RowCounts{});
constexpr std::array<Multiply, most_rows> whole_wide = multiply_table<false, Vectors::saturates>(RowCounts{});

struct Format {
  DType dtype;
  Unpack unpack;
  Unpacked form;
};

constexpr std::array<Format, 12> known_formats{{{DType::q4_0, unpack_q4_0, {}},
                                                {DType::q4_1, unpack_q4_1, {}},
                                                {DType::q5_0, unpack_q5_0, {}},
                                                {DType::q5_1, unpack_q5_1, {}},
                                                {DType::q8_0, unpack_q8_0, {.wide = true}},
                                                {DType::iq4_nl, unpack_iq4_nl, {.wide = true}},
                                                {DType::iq4_xs, unpack_iq4_xs, {.wide = true}},
                                                {DType::q2_k, unpack_q2_k, {.halves = true}},
                                                {DType::q3_k, unpack_q3_k, {.halves = true}},
                                                {DType::q4_k, unpack_q4_k, {}},
                                                {DType::q5_k, unpack_q5_k, {}},
                                                {DType::q6_k, unpack_q6_k, {.halves = true}}}};

const Format* format_of(DType dtype) {
  for (const Format& format : known_formats) {
    if (format.dtype == dtype) return &format;
  }
  return nullptr;
}

bool knows(DType dtype) {
  return format_of(dtype) != nullptr;
}

/// Writes one row's products with a group of stored rows to the outputs that these compute.
void finish(const BlockTask& task, const float* sums, int64_t group, int64_t count, int64_t row) {
  const BlockRows& part = *task.part;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t stored = group * lanes + i;
    const int64_t place = part.places.empty() ? stored : part.places[stored];
    const float value = sums[i] + (task.bias ? task.bias[place] : 0);
    const int64_t at = row * task.y_stride + place;
    if (task.bf16) {
      static_cast<uint16_t*>(task.y)[at] = bf16_from_float(value);
    } else {
      static_cast<float*>(task.y)[at] = value;
    }
  }
}

/// The products of up to slab_rows rows of x, from a multiple of most_rows on, with one group of stored rows.
void multiply_slab(const BlockTask& task, const Format& format, RowPointers rows, int64_t begin, int64_t end,
                   int64_t group, int64_t count, Ahead& ahead) {
  alignas(64) PanelBlock panel[panel_blocks];
  alignas(64) float sums[slab_rows * lanes];
  const auto& table = format.form.halves ? in_halves : format.form.wide ? whole_wide : whole;
  for (int64_t first = 0; first < task.x.row_blocks; first += panel_blocks) {
    const int64_t blocks = std::min(panel_blocks, task.x.row_blocks - first);
    format.unpack(rows, first, blocks, panel, ahead);
    for (int64_t row = begin; row < end; row += most_rows) {
      const int64_t tile = std::min<int64_t>(most_rows, task.x.rows - row);
      const ActivationBlock* x = task.x.blocks + row * task.x.row_blocks + first * tile;
      table[tile - 1](panel, blocks, x, first == 0, sums + (row - begin) * lanes);
    }
  }
  for (int64_t row = begin; row < end; ++row) finish(task, sums + (row - begin) * lanes, group, count, row);
}

void multiply(const BlockTask& task) {
  const BlockRows& part = *task.part;
  const Format& format = *format_of(part.dtype);
  const int64_t group_bytes = lanes * part.row_bytes;
  const std::byte* end = part.data + part.rows * part.row_bytes;
  for (int64_t group = task.first_group; group < task.last_group; ++group) {
    const int64_t count = std::min<int64_t>(lanes, part.rows - group * lanes);
    const std::byte* rows[lanes];
    for (int64_t i = 0; i < lanes; ++i)
      rows[i] = part.data + (group * lanes + std::min(i, count - 1)) * part.row_bytes;
    const std::byte* next = part.data + std::min(part.rows, (group + 1) * lanes) * part.row_bytes;
    const int64_t wanted = std::min<int64_t>(group_bytes, end - next);
    Ahead ahead{next, next + wanted, (wanted / 64 + task.x.row_blocks) / task.x.row_blocks};
    for (int64_t row = 0; row < task.x.rows; row += slab_rows)
      multiply_slab(task, format, rows, row, std::min(task.x.rows, row + slab_rows), group, count, ahead);
  }
}

/// 32 values rounded to 8 bits, to nearest even.
void round_block(const float* x, ActivationBlock& out) {
  uint32_t most = 0;
  for (int i = 0; i < 32; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  const float largest = std::bit_cast<float>(most);
  const bool finite = most < 0x7F800000U;
  // Smaller values have no finite 1 / d.
  const float inverse = finite && largest > 1e-36F ? 127 / largest : 0;
  out.scale = finite ? (inverse > 0 ? largest / 127 : 0) : std::numeric_limits<float>::quiet_NaN();
  int32_t rounded[32];
  for (int i = 0; i < 32; ++i) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
    rounded[i] = std::bit_cast<int32_t>(std::fma(x[i], inverse, 12582912.0F)) - 0x4B400000;
  }
  int32_t low = 0, high = 0;
  for (int i = 0; i < 32; ++i) out.values[i] = static_cast<int8_t>(rounded[i]);
  for (int i = 0; i < 16; ++i) low += out.values[i];
  for (int i = 16; i < 32; ++i) high += out.values[i];
  out.halves[0] = out.scale * static_cast<float>(low);
  out.halves[1] = out.scale * static_cast<float>(high);
  out.sum = out.scale * static_cast<float>(low + high);
}

void round_rows(const void* x, bool bf16, int64_t x_stride, int64_t first, int64_t last, int64_t rows,
                int64_t columns, ActivationBlock* tile) {
  for (int64_t row = first; row < last; ++row) {
    for (int64_t block = 0; block < columns / 32; ++block) {
      const int64_t at = row * x_stride + block * 32;
      float values[32];
      if (bf16) {
        const auto* from = static_cast<const uint16_t*>(x) + at;
        for (int i = 0; i < 32; ++i) values[i] = float_from_bf16(from[i]);
      } else {
        std::memcpy(values, static_cast<const float*>(x) + at, sizeof values);
      }
      round_block(values, tile[block * rows + row]);
    }
  }
}

constexpr BlockKernels kernels{lanes, most_rows, knows, round_rows, multiply};
