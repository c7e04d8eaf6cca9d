// The gradient of one chunk of the gated delta rule; included once per Highway target.
#if defined(LOWRANK_DELTA_CHUNK_GRADIENT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#undef LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#else
#define LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#endif

#include <algorithm>

#include "kernels/operations/cpu/delta_chunk-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// For a lower triangle with the gradient `gradient` and the values exp(decay_i - decay_j) times something,
/// zero above the diagonal: adds what the decays get to `decay`. What the diagonal adds it also takes away.
inline void add_to_decays(const float* gradient, const float* values, float* decay, int64_t n) {
  each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      const float* of_row = gradient + i * chunk_rows;
      const float* values_of_row = values + i * chunk_rows;
      decay[i] += dot(of_row, values_of_row, begin + triangle_rows);
      for_each_vector(begin + triangle_rows, [&](auto d, int64_t j) HWY_ATTR {
        const auto through = hn::Mul(hn::LoadU(d, of_row + j), hn::LoadU(d, values_of_row + j));
        hn::StoreU(hn::Sub(hn::LoadU(d, decay + j), through), d, decay + j);
      });
    }
  });
}

/// The gradients of a chunk's operands; sizes as in Chunk, names of what they belong to.
struct ChunkGradient {
  explicit ChunkGradient(const DeltaRule& of)
      : op(of),
        chunk(of),
        d_out(chunk_rows * of.value_dim),
        errors(chunk_rows * of.value_dim),
        v(chunk_rows * of.value_dim),
        v_turned(chunk_rows * of.value_dim),
        seen(chunk_rows * of.value_dim),
        q(chunk_rows * of.key_dim),
        k(chunk_rows * of.key_dim),
        scratch(chunk_rows * of.key_dim),
        reading(chunk_rows * chunk_rows),
        mixing(chunk_rows * chunk_rows),
        state_turned(of.state_size()) {}

  /// The gradients of the rows that `chunk` has read, from `d_out` and that of the state after them, which
  /// becomes that of the state before them. `state`, `written` and `said`: the state before them (null:
  /// zero), and `v` and `seen` of the chunk after `correct`. `ends`: `d_state` is zero, whatever it holds;
  /// `begins`: it is not needed afterwards.
  void run(const float* state, const float* written, const float* said, float* d_state, bool ends,
           bool begins) {
    n = chunk.n;
    const int64_t b = op.value_dim;
    std::copy_n(chunk.v.data(), n * b, errors.data());
    for (int64_t i = 0; state && i < n; ++i)
      add_scaled(said + i * b, -chunk.from_start[i], errors.data() + i * b, b);
    std::copy_n(written, n * b, chunk.v.data());
    if (state) std::copy_n(said, n * b, chunk.seen.data());
    chunk.mix();
    chunk.read_within();
    chunk.turn(chunk.v.data(), b, v_turned.data());
    std::fill_n(decay, chunk_rows, 0.0F);
    if (ends) {
      std::fill_n(v.data(), n * b, 0.0F);
      std::fill_n(k.data(), n * op.key_dim, 0.0F);
    } else {
      through_the_end(state, d_state);
    }
    through_the_reading();
    if (state) through_the_state(state);
    if (!begins) into_the_state(d_state, ends);
    through_the_writing(state, begins ? nullptr : d_state);
    through_the_decays();
  }

  /// S' = exp(end) S + k_left^T v.
  void through_the_end(const float* state, const float* d_state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    multiply({chunk.k_left.data(), a, 1}, {d_state, b}, v.data(), b, n, a, b);
    transpose(d_state, a, b, state_turned.data(), a);
    multiply({chunk.v.data(), b, 1}, {state_turned.data(), a}, k.data(), a, n, b, a);
    if (state) decay[n - 1] += chunk.from_start[n - 1] * dot(d_state, state, op.state_size());
    for (int64_t i = 0; i < n; ++i) {
      scale(k.data() + i * a, chunk.to_end[i], k.data() + i * a, a);
      const float through = dot(k.data() + i * a, chunk.k.data() + i * a, a);
      decay[n - 1] += through;
      decay[i] -= through;
    }
  }

  /// reading v, where reading = (q k^T) kept.
  void through_the_reading() {
    const int64_t a = op.key_dim, b = op.value_dim;
    add_turned_product(chunk.reading.data(), d_out.data(), v.data(), n, b);
    multiply_lower(d_out.data(), v_turned.data(), reading.data(), n, b);
    add_to_decays(reading.data(), chunk.reading.data(), decay, n);
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i)
        times(chunk.kept.data() + i * chunk_rows, reading.data() + i * chunk_rows, begin + triangle_rows);
    });
    std::fill_n(q.data(), n * a, 0.0F);
    add_lower_product(reading.data(), chunk.k.data(), q.data(), n, a);
    add_turned_product(reading.data(), chunk.q.data(), k.data(), n, a);
  }

  /// exp(decay) q S, to q and the decays.
  void through_the_state(const float* state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    transpose(state, a, b, state_turned.data(), a);
    multiply({d_out.data(), b, 1}, {state_turned.data(), a}, scratch.data(), a, n, b, a);
    for (int64_t i = 0; i < n; ++i) {
      const float* row = scratch.data() + i * a;
      decay[i] += chunk.from_start[i] * dot(row, chunk.q.data() + i * a, a);
      add_scaled(row, chunk.from_start[i], q.data() + i * a, a);
    }
  }

  /// The same, and S' = exp(end) S + ..., to S.
  void into_the_state(float* d_state, bool ends) {
    const int64_t a = op.key_dim, b = op.value_dim;
    for (int64_t i = 0; i < n; ++i)
      scale(chunk.q.data() + i * a, chunk.from_start[i], scratch.data() + i * a, a);
    if (!ends) scale(d_state, chunk.from_start[n - 1], d_state, op.state_size());
    multiply({scratch.data(), 1, a}, {d_out.data(), b}, d_state, b, a, n, b, ends);
  }

  /// v = beta (values - exp(decay) k S) + mixing v: backwards through the rows, then to its operands.
  /// `d_state` may be null.
  void through_the_writing(const float* state, float* d_state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    back_through_rows();
    multiply_lower(v.data(), v_turned.data(), mixing.data(), n, b);
    add_to_decays(mixing.data(), chunk.mixing.data(), decay, n);
    for (int64_t i = 0; i < n; ++i) {
      float* row = v.data() + i * b;
      beta[i] = dot(row, errors.data() + i * b, b);
      scale(row, chunk.beta[i], row, b);
      scale(row, -chunk.from_start[i], seen.data() + i * b, b);
      if (state) decay[i] += dot(seen.data() + i * b, chunk.seen.data() + i * b, b);
    }
    // mixing = -beta (k k^T) kept, below the diagonal.
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i) {
        float* row = mixing.data() + i * chunk_rows;
        std::fill(row + i, row + begin + triangle_rows, 0.0F);
        times(chunk.kept.data() + i * chunk_rows, row, begin + triangle_rows);
        beta[i] -= dot(row, chunk.keys.data() + i * chunk_rows, begin + triangle_rows);
        scale(row, -chunk.beta[i], row, begin + triangle_rows);
      }
    });
    if (state) add_product({seen.data(), b, 1}, {state_turned.data(), a}, k.data(), a, n, b, a);
    if (d_state) add_product({chunk.k.data(), 1, a}, {seen.data(), b}, d_state, b, a, n, b);
    add_lower_product(mixing.data(), chunk.k.data(), k.data(), n, a);
    add_turned_product(mixing.data(), chunk.k.data(), k.data(), n, a);
  }

  /// Each written value's gradient with that through the rows after it.
  void back_through_rows() {
    const int64_t b = op.value_dim;
    const auto factors = [&](int64_t from, int64_t to) HWY_ATTR {
      return LeftFactor{chunk.mixing.data() + from * chunk_rows + to, 1, chunk_rows};
    };
    for (int64_t begin = (n - 1) / triangle_rows * triangle_rows; begin >= 0; begin -= triangle_rows) {
      const int64_t end = std::min(n, begin + triangle_rows);
      add_product(factors(end, begin), {v.data() + end * b, b}, v.data() + begin * b, b, end - begin, n - end,
                  b);
      for (int64_t i = end - 1; i-- > begin;)
        add_product(factors(i + 1, i), {v.data() + (i + 1) * b, b}, v.data() + i * b, b, 1, end - 1 - i, b);
    }
  }

  /// From the sums to their terms.
  void through_the_decays() {
    for (int64_t i = n - 1; i-- > 0;) decay[i] += decay[i + 1];
  }

  const DeltaRule& op;
  Chunk chunk;
  int64_t n = 0;
  Floats d_out;
  Floats errors;    ///< the given values - what the state at the start says
  Floats v;         ///< of the written values, then of the given ones
  Floats v_turned;  ///< the written values, [b, n], rows of chunk_rows
  Floats seen, q, k;
  Floats scratch, reading, mixing, state_turned;
  float decay[chunk_rows] = {}, beta[chunk_rows] = {};
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
