// One chunk of the gated delta rule, in the form of kernels/operations/delta_rule.h; included once per
// Highway target.
#if defined(LOWRANK_DELTA_CHUNK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOWRANK_DELTA_CHUNK_INL_H
#undef LOWRANK_DELTA_CHUNK_INL_H
#else
#define LOWRANK_DELTA_CHUNK_INL_H
#endif

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/operations/cpu/delta_rule_cpu.h"
#include "kernels/operations/cpu/small_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

inline constexpr int64_t chunk_rows = 64;
inline constexpr float least_square = 1e-6F;  ///< added under the root when q and k are normalised

/// x / sqrt(sum x^2 + least_square) times `factor`, as f32; returns the reciprocal root.
template <typename T>
float normalise(const T* x, int64_t count, float factor, float* out) {
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(load(d, x + i), d, out + i); });
  const float inverse = 1 / std::sqrt(dot(out, out, count) + least_square);
  scale(out, inverse * factor, out, count);
  return inverse;
}

/// A chunk of rows of one value head, and what its result is made of; n rows, key dimension a, value
/// dimension b. All matrices are by rows.
struct Chunk {
  explicit Chunk(const DeltaRule& of)
      : op(of),
        q(chunk_rows * of.key_dim),
        k(q.size()),
        k_turned(q.size()),
        k_left(q.size()),
        v(chunk_rows * of.value_dim),
        seen(v.size()),
        kept(chunk_rows * chunk_rows),
        keys(kept.size()),
        mixing(kept.size()),
        reading(kept.size()) {}

  /// Reads rows [first, first + count) of value head `head`.
  template <typename T>
  void read(int64_t head, int64_t first, int64_t count) {
    n = count;
    const int64_t a = op.key_dim, b = op.value_dim;
    const T* base = static_cast<const T*>(op.qkv) + first * op.columns();
    const T* keys_of = base + op.key_heads * a;
    const float factor = 1 / std::sqrt(static_cast<float>(a));
    const int64_t key_head = head / op.shared();
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = i * op.columns();
      normalise(base + row + key_head * a, a, factor, q.data() + i * a);
      normalise(keys_of + row + key_head * a, a, 1.0F, k.data() + i * a);
      const T* value = keys_of + row + op.key_heads * a + head * b;
      for_each_vector(
          b, [&](auto d, int64_t j) HWY_ATTR { hn::StoreU(load(d, value + j), d, v.data() + i * b + j); });
      sum += op.decay[(first + i) * op.value_heads + head];
      decay[i] = sum;
      from_start[i] = std::exp(sum);
      beta[i] = op.beta[(first + i) * op.value_heads + head];
    }
    for (int64_t i = 0; i < n; ++i) {
      to_end[i] = std::exp(decay[n - 1] - decay[i]);
      scale(k.data() + i * a, to_end[i], k_left.data() + i * a, a);
    }
    transpose(k.data(), n, a, k_turned.data());
    decays_between();
  }

  /// kept(i, j) = exp(decay_i - decay_j) for j <= i, else 0.
  void decays_between() {
    for (int64_t i = 0; i < n; ++i) {
      float* row = kept.data() + i * n;
      for_each_vector(i + 1, [&](auto d, int64_t j) HWY_ATTR {
        hn::StoreU(exp_negative(d, hn::Sub(hn::Set(d, decay[i]), hn::LoadU(d, decay + j))), d, row + j);
      });
      std::fill(row + i + 1, row + n, 0.0F);
    }
  }

  /// The values that are written, in `v`: beta (v - what the state at the start and the chunk's earlier rows
  /// say of k). `errors`, unless null: v - what the state at the start says, [n, b].
  void correct(const float* state, float* errors) {
    const int64_t a = op.key_dim, b = op.value_dim;
    std::fill_n(seen.begin(), n * b, 0.0F);
    add_product({k.data(), a, 1}, {state, b}, seen.data(), b, n, a, b);
    std::fill_n(keys.begin(), n * n, 0.0F);
    add_product({k.data(), a, 1}, {k_turned.data(), n}, keys.data(), n, n, a, n);
    for (int64_t i = 0; i < n; ++i) {
      float* row = v.data() + i * b;
      add_scaled(seen.data() + i * b, -from_start[i], row, b);
      if (errors) std::copy_n(row, b, errors + i * b);
      scale(row, beta[i], row, b);
      for (int64_t j = 0; j < i; ++j) mixing[i * n + j] = -beta[i] * keys[i * n + j] * kept[i * n + j];
      add_product({mixing.data() + i * n, n, 1}, {v.data(), b}, row, b, 1, i, b);
    }
  }

  /// What each row reads of those up to its own: q k^T with the decays between them.
  void read_within() {
    const int64_t a = op.key_dim;
    std::fill_n(reading.begin(), n * n, 0.0F);
    add_product({q.data(), a, 1}, {k_turned.data(), n}, reading.data(), n, n, a, n);
    for (int64_t i = 0; i < n * n; ++i) reading[i] *= kept[i];
  }

  /// The result, [n, b], after `correct` and `read_within`, from the state at the start.
  void write(const float* state, float* out) const {
    const int64_t a = op.key_dim, b = op.value_dim;
    std::fill_n(out, n * b, 0.0F);
    add_product({q.data(), a, 1}, {state, b}, out, b, n, a, b);
    for (int64_t i = 0; i < n; ++i) scale(out + i * b, from_start[i], out + i * b, b);
    add_product({reading.data(), n, 1}, {v.data(), b}, out, b, n, n, b);
  }

  /// The state after the chunk, after `correct`.
  void advance(float* state) const {
    scale(state, from_start[n - 1], state, op.state_size());
    add_product({k_left.data(), 1, op.key_dim}, {v.data(), op.value_dim}, state, op.value_dim, op.key_dim, n,
                op.value_dim);
  }

  const DeltaRule& op;
  int64_t n = 0;
  std::vector<float> q, k;       ///< normalised
  std::vector<float> k_turned;   ///< [a, n]
  std::vector<float> k_left;     ///< k times what is left of it at the end
  std::vector<float> v;          ///< the values, then what is written of them
  std::vector<float> seen;       ///< k S
  std::vector<float> kept;       ///< [n, n]
  std::vector<float> keys;       ///< k k^T
  std::vector<float> mixing;     ///< [n, n] factors of earlier rows' written values; below the diagonal
  std::vector<float> reading;    ///< [n, n]
  float decay[chunk_rows] = {};  ///< sums of logarithms from the start
  float from_start[chunk_rows] = {}, to_end[chunk_rows] = {}, beta[chunk_rows] = {};
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
