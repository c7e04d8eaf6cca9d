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
#include <new>

#include <hwy/aligned_allocator.h>

#include "kernels/operations/cpu/delta_rule_cpu.h"
#include "kernels/operations/cpu/small_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

inline constexpr int64_t chunk_rows = 64;
/// Rows of a triangle that are computed together, up to the last one's columns.
inline constexpr int64_t triangle_rows = 16;
inline constexpr float least_square = 1e-6F;  ///< added under the root when q and k are normalised

/// Values that are written before they are read, aligned to vectors.
class Floats {
 public:
  explicit Floats(int64_t count) : values_(hwy::AllocateAligned<float>(std::max<int64_t>(count, 1))) {
    if (!values_) throw std::bad_alloc();
  }
  float* data() { return values_.get(); }
  const float* data() const { return values_.get(); }

 private:
  hwy::AlignedFreeUniquePtr<float[]> values_;
};

/// Calls step(first, end) for the rows of a triangle, triangle_rows at a time.
template <class Step>
HWY_INLINE void each_triangle_block(int64_t rows, Step step) {
  for (int64_t first = 0; first < rows; first += triangle_rows)
    step(first, std::min(rows, first + triangle_rows));
}

/// The lower triangle of a b, a [n, inner] by rows, b in rows of chunk_rows values: c in rows of chunk_rows;
/// of the rest, only the columns of a block of rows are written.
inline void multiply_lower(const float* a, const float* b, float* c, int64_t n, int64_t inner) {
  each_triangle_block(n, [&](int64_t first, int64_t) HWY_ATTR {
    multiply({a + first * inner, inner, 1}, {b, chunk_rows}, c + first * chunk_rows, chunk_rows,
             std::min(triangle_rows, n - first), inner, first + triangle_rows);
  });
}

/// c [n, columns] += a b for a lower triangle a, in rows of chunk_rows values, whose blocks of rows are zero
/// above the diagonal.
inline void add_lower_product(const float* a, const float* b, float* c, int64_t n, int64_t columns) {
  each_triangle_block(n, [&](int64_t first, int64_t end) HWY_ATTR {
    add_product({a + first * chunk_rows, chunk_rows, 1}, {b, columns}, c + first * columns, columns,
                end - first, end, columns);
  });
}

/// c [n, columns] += a^T b for such a triangle.
inline void add_turned_product(const float* a, const float* b, float* c, int64_t n, int64_t columns) {
  each_triangle_block(n, [&](int64_t first, int64_t end) HWY_ATTR {
    add_product({a + first * chunk_rows + first, 1, chunk_rows}, {b + first * columns, columns},
                c + first * columns, columns, end - first, n - first, columns);
  });
}

/// x / sqrt(sum x^2 + least_square) times `factor`, as f32; returns the reciprocal root.
template <typename T>
float normalise(const T* x, int64_t count, float factor, float* out) {
  for_each_vector(count, [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(load(d, x + i), d, out + i); });
  const float inverse = 1 / std::sqrt(dot(out, out, count) + least_square);
  scale(out, inverse * factor, out, count);
  return inverse;
}

/// A chunk of rows of one value head, and what its result is made of; n rows, key dimension a, value
/// dimension b. A state may be null: it is zero, and nothing is multiplied with it. All matrices are by rows;
/// those between rows have rows of chunk_rows values, of which only the first ones, in whole blocks of a
/// triangle, are used.
struct Chunk {
  explicit Chunk(const DeltaRule& of)
      : op(of),
        q(chunk_rows * of.key_dim),
        k(chunk_rows * of.key_dim),
        k_turned(chunk_rows * of.key_dim),
        k_left(chunk_rows * of.key_dim),
        v(chunk_rows * of.value_dim),
        seen(chunk_rows * of.value_dim),
        kept(chunk_rows * chunk_rows),
        keys(chunk_rows * chunk_rows),
        mixing(chunk_rows * chunk_rows),
        reading(chunk_rows * chunk_rows) {}

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
      beta[i] = op.beta[(first + i) * op.value_heads + head];
    }
    for_each_vector(n, [&](auto d, int64_t i) HWY_ATTR {
      const auto from_first = hn::LoadU(d, decay + i);
      hn::StoreU(exp_negative(d, from_first), d, from_start + i);
      hn::StoreU(exp_negative(d, hn::Sub(hn::Set(d, sum), from_first)), d, to_end + i);
    });
    for (int64_t i = 0; i < n; ++i) scale(k.data() + i * a, to_end[i], k_left.data() + i * a, a);
    turn(k.data(), a, k_turned.data());
    decays_between();
  }

  /// The transpose of x [n, width], with zeros behind each row.
  void turn(const float* x, int64_t width, float* out) const {
    transpose(x, n, width, out, chunk_rows);
    const int64_t end = (n + triangle_rows - 1) / triangle_rows * triangle_rows;
    for (int64_t j = 0; j < width; ++j) std::fill(out + j * chunk_rows + n, out + j * chunk_rows + end, 0.0F);
  }

  /// kept(i, j) = exp(decay_i - decay_j) for j <= i, else 0.
  void decays_between() {
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i) {
        float* row = kept.data() + i * chunk_rows;
        for_each_vector(begin + triangle_rows, [&](auto d, int64_t j) HWY_ATTR {
          const auto between = hn::Sub(hn::Set(d, decay[i]), hn::LoadU(d, decay + j));
          hn::StoreU(exp_negative(d, hn::Min(between, hn::Zero(d))), d, row + j);
        });
        std::fill(row + i + 1, row + begin + triangle_rows, 0.0F);
      }
    });
  }

  /// keys, and the factors `mixing` that they give.
  void mix() {
    multiply_lower(k.data(), k_turned.data(), keys.data(), n, op.key_dim);
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * chunk_rows;
        for_each_vector(begin + triangle_rows, [&](auto d, int64_t j) HWY_ATTR {
          const auto between =
              hn::Mul(hn::LoadU(d, keys.data() + at + j), hn::LoadU(d, kept.data() + at + j));
          hn::StoreU(hn::Mul(between, hn::Set(d, -beta[i])), d, mixing.data() + at + j);
        });
        mixing.data()[at + i] = 0;
      }
    });
  }

  /// The values that are written, in `v`, after `mix`: beta (v - what the state at the start and the chunk's
  /// earlier rows say of k).
  void correct(const float* state) {
    const int64_t a = op.key_dim, b = op.value_dim;
    if (state) multiply({k.data(), a, 1}, {state, b}, seen.data(), b, n, a, b);
    for (int64_t i = 0; i < n; ++i) {
      float* row = v.data() + i * b;
      if (state) add_scaled(seen.data() + i * b, -from_start[i], row, b);
      scale(row, beta[i], row, b);
    }
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      const auto factors = [&](int64_t i, int64_t j) HWY_ATTR {
        return LeftFactor{mixing.data() + i * chunk_rows + j, chunk_rows, 1};
      };
      float* rows = v.data() + begin * b;
      add_product(factors(begin, 0), {v.data(), b}, rows, b, end - begin, begin, b);
      for (int64_t i = 1; i < end - begin; ++i)
        add_product(factors(begin + i, begin), {rows, b}, rows + i * b, b, 1, i, b);
    });
  }

  /// What each row reads of those up to its own: q k^T with the decays between them.
  void read_within() {
    multiply_lower(q.data(), k_turned.data(), reading.data(), n, op.key_dim);
    each_triangle_block(n, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i)
        times(kept.data() + i * chunk_rows, reading.data() + i * chunk_rows, begin + triangle_rows);
    });
  }

  /// The result, [n, b], after `correct` and `read_within`, from the state at the start.
  void write(const float* state, float* out) const {
    const int64_t a = op.key_dim, b = op.value_dim;
    if (state) {
      multiply({q.data(), a, 1}, {state, b}, out, b, n, a, b);
      for (int64_t i = 0; i < n; ++i) scale(out + i * b, from_start[i], out + i * b, b);
    } else {
      std::fill_n(out, n * b, 0.0F);
    }
    add_lower_product(reading.data(), v.data(), out, n, b);
  }

  /// The state after the chunk, after `correct`; `fresh`: from a zero one, whatever `state` holds.
  void advance(float* state, bool fresh) const {
    if (!fresh) scale(state, from_start[n - 1], state, op.state_size());
    multiply({k_left.data(), 1, op.key_dim}, {v.data(), op.value_dim}, state, op.value_dim, op.key_dim, n,
             op.value_dim, fresh);
  }

  const DeltaRule& op;
  int64_t n = 0;
  Floats q, k;                   ///< normalised
  Floats k_turned;               ///< [a, n], rows of chunk_rows
  Floats k_left;                 ///< k times what is left of it at the end
  Floats v;                      ///< the values, then what is written of them
  Floats seen;                   ///< k S, unless S is zero
  Floats kept;                   ///< [n, n]
  Floats keys;                   ///< k k^T
  Floats mixing;                 ///< [n, n] factors of earlier rows' written values; below the diagonal
  Floats reading;                ///< [n, n]
  float decay[chunk_rows] = {};  ///< sums of logarithms from the start
  float from_start[chunk_rows] = {}, to_end[chunk_rows] = {}, beta[chunk_rows] = {};
};

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#endif
