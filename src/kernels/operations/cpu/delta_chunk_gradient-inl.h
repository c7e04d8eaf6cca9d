// The gradient of one chunk of the gated delta rule; included once per Highway target.
#if defined(LOWRANK_DELTA_CHUNK_GRADIENT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#undef LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#else
#define LOWRANK_DELTA_CHUNK_GRADIENT_INL_H
#endif

#include "kernels/operations/cpu/delta_chunk-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// The gradients of a chunk's operands; sizes as in Chunk, names of what they belong to.
struct ChunkGradient {
  explicit ChunkGradient(const DeltaRule& of)
      : op(of),
        chunk(of),
        d_out(chunk_rows * of.value_dim),
        errors(d_out.size()),
        v(d_out.size()),
        v_turned(d_out.size()),
        seen(d_out.size()),
        q(chunk_rows * of.key_dim),
        k(q.size()),
        scratch(q.size()),
        reading(chunk_rows * chunk_rows),
        mixing(reading.size()),
        state_turned(of.state_size()) {}

  /// The gradients of the rows that `chunk` has read, from `d_out` and that of the state after them, which
  /// becomes that of the state before them.
  void run(const float* state, float* d_state) {
    n = chunk.n;
    chunk.correct(state, errors.data());
    chunk.read_within();
    transpose(chunk.v.data(), n, op.value_dim, v_turned.data());
    std::fill_n(decay, n, 0.0F);
    through_the_end(state, d_state);
    through_the_result(state, d_state);
    through_the_writing(d_state);
    through_the_decays();
  }

  /// S' = exp(end) S + k_left^T v.
  void through_the_end(const float* state, const float* d_state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    std::fill_n(v.begin(), n * b, 0.0F);
    add_product({chunk.k_left.data(), a, 1}, {d_state, b}, v.data(), b, n, a, b);
    transpose(d_state, a, b, state_turned.data());
    std::fill_n(k.begin(), n * a, 0.0F);
    add_product({chunk.v.data(), b, 1}, {state_turned.data(), a}, k.data(), a, n, b, a);
    decay[n - 1] += chunk.from_start[n - 1] * dot(d_state, state, op.state_size());
    for (int64_t i = 0; i < n; ++i) {
      scale(k.data() + i * a, chunk.to_end[i], k.data() + i * a, a);
      const float through = dot(k.data() + i * a, chunk.k.data() + i * a, a);
      decay[n - 1] += through;
      decay[i] -= through;
    }
  }

  /// o = exp(decay) q S + reading v.
  void through_the_result(const float* state, float* d_state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    add_product({chunk.reading.data(), 1, n}, {d_out.data(), b}, v.data(), b, n, n, b);
    std::fill_n(reading.begin(), n * n, 0.0F);
    add_product({d_out.data(), b, 1}, {v_turned.data(), n}, reading.data(), n, n, b, n);
    transpose(state, a, b, state_turned.data());
    std::fill_n(q.begin(), n * a, 0.0F);
    add_product({d_out.data(), b, 1}, {state_turned.data(), a}, q.data(), a, n, b, a);
    for (int64_t i = 0; i < n; ++i) {
      scale(q.data() + i * a, chunk.from_start[i], q.data() + i * a, a);
      decay[i] += dot(q.data() + i * a, chunk.q.data() + i * a, a);
      scale(chunk.q.data() + i * a, chunk.from_start[i], scratch.data() + i * a, a);
    }
    scale(d_state, chunk.from_start[n - 1], d_state, op.state_size());
    add_product({scratch.data(), 1, a}, {d_out.data(), b}, d_state, b, a, n, b);
    // reading = (q k^T) kept: from its gradient that of q k^T, and what the decays get.
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const int64_t at = i * n + j;
        const float through = j < i ? reading[at] * chunk.reading[at] : 0.0F;
        decay[i] += through;
        decay[j] -= through;
        reading[at] *= chunk.kept[at];
      }
    }
    add_product({reading.data(), n, 1}, {chunk.k.data(), a}, q.data(), a, n, n, a);
    add_product({reading.data(), 1, n}, {chunk.q.data(), a}, k.data(), a, n, n, a);
  }

  /// v = beta (values - exp(decay) k S) + mixing v: backwards through the rows, then to its operands.
  void through_the_writing(float* d_state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    for (int64_t i = n - 1; i-- > 0;) {
      add_product({chunk.mixing.data() + (i + 1) * n + i, 0, n}, {v.data() + (i + 1) * b, b},
                  v.data() + i * b, b, 1, n - 1 - i, b);
    }
    std::fill_n(mixing.begin(), n * n, 0.0F);
    add_product({v.data(), b, 1}, {v_turned.data(), n}, mixing.data(), n, n, b, n);
    for (int64_t i = 0; i < n; ++i) {
      float* row = v.data() + i * b;
      beta[i] = dot(row, errors.data() + i * b, b);
      scale(row, chunk.beta[i], row, b);
      scale(row, -chunk.from_start[i], seen.data() + i * b, b);
      decay[i] += dot(seen.data() + i * b, chunk.seen.data() + i * b, b);
      // mixing = -beta (k k^T) kept, below the diagonal.
      for (int64_t j = 0; j < n; ++j) {
        const int64_t at = i * n + j;
        if (j >= i) {
          mixing[at] = 0;
          continue;
        }
        const float through = mixing[at] * chunk.mixing[at];
        decay[i] += through;
        decay[j] -= through;
        beta[i] -= mixing[at] * chunk.keys[at] * chunk.kept[at];
        mixing[at] *= -chunk.beta[i] * chunk.kept[at];
      }
    }
    add_product({seen.data(), b, 1}, {state_turned.data(), a}, k.data(), a, n, b, a);
    add_product({chunk.k.data(), 1, a}, {seen.data(), b}, d_state, b, a, n, b);
    add_product({mixing.data(), n, 1}, {chunk.k.data(), a}, k.data(), a, n, n, a);
    add_product({mixing.data(), 1, n}, {chunk.k.data(), a}, k.data(), a, n, n, a);
  }

  /// From the sums to their terms.
  void through_the_decays() {
    for (int64_t i = n - 1; i-- > 0;) decay[i] += decay[i + 1];
  }

  const DeltaRule& op;
  Chunk chunk;
  int64_t n = 0;
  std::vector<float> d_out;
  std::vector<float> errors;    ///< of Chunk::correct
  std::vector<float> v;         ///< of the written values, then of the given ones
  std::vector<float> v_turned;  ///< the written values, [b, n]
  std::vector<float> seen, q, k;
  std::vector<float> scratch, reading, mixing, state_turned;
  float decay[chunk_rows] = {}, beta[chunk_rows] = {};
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
