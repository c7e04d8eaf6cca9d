#include "kernels/operations/cpu/delta_rule_cpu.h"

#include <algorithm>
#include <vector>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/delta_rule_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/operations/cpu/delta_chunk_gradient-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// The states of one value head that other sequences start from, by the number of the sequence; empty: none.
using States = std::vector<std::vector<float>>;

States states_of_parents(const DeltaRule& op) {
  States states(op.sequences);
  for (int64_t s = 0; s < op.sequences; ++s) {
    if (op.parent(s) >= 0) states[op.parent(s)].assign(op.state_size(), 0.0F);
  }
  return states;
}

/// The state that a sequence starts from; false: zero, and nothing is written.
bool begin_sequence(const DeltaRule& op, int64_t head, int64_t sequence, const States& parents,
                    float* state) {
  const int64_t parent = op.parent(sequence);
  if (parent >= 0) {
    std::copy(parents[parent].begin(), parents[parent].end(), state);
  } else if (op.start) {
    std::copy_n(op.start + (sequence * op.value_heads + head) * op.state_size(), op.state_size(), state);
  }
  return parent >= 0 || op.start;
}

/// Keeps the state that a sequence ends with, where others start from it.
void end_sequence(const DeltaRule& op, const float* state, bool known, std::vector<float>& kept) {
  if (!kept.empty() && known) std::copy_n(state, op.state_size(), kept.begin());
}

/// Calls step(sequence, first row, rows) for a sequence's chunks.
template <class Step>
void each_chunk(const DeltaRule& op, int64_t sequence, Step step) {
  for (int64_t row = op.offsets[sequence]; row < op.offsets[sequence + 1]; row += chunk_rows)
    step(row, std::min(chunk_rows, op.offsets[sequence + 1] - row));
}

/// Copies columns [at, at + width) of the rows [first, first + count) of `from`, [T, columns], to or from f32
/// [count, width].
template <typename T>
void read_columns(const T* from, int64_t columns, int64_t at, int64_t first, int64_t count, int64_t width,
                  float* to) {
  for (int64_t i = 0; i < count; ++i) {
    const T* row = from + (first + i) * columns + at;
    for_each_vector(width,
                    [&](auto d, int64_t j) HWY_ATTR { store(load(d, row + j), d, to + i * width + j); });
  }
}

template <typename T>
void write_columns(const float* from, int64_t columns, int64_t at, int64_t first, int64_t count,
                   int64_t width, T* to) {
  for (int64_t i = 0; i < count; ++i) {
    T* row = to + (first + i) * columns + at;
    for_each_vector(width,
                    [&](auto d, int64_t j) HWY_ATTR { store(load(d, from + i * width + j), d, row + j); });
  }
}

template <typename T>
void forward_head(const DeltaRule& op, int64_t head, T* out, float* end) {
  Chunk chunk(op);
  States parents = states_of_parents(op);
  Floats state(op.state_size()), result(chunk_rows * op.value_dim);
  for (int64_t s = 0; s < op.sequences; ++s) {
    bool known = begin_sequence(op, head, s, parents, state.data());
    each_chunk(op, s, [&](int64_t first, int64_t count) {
      chunk.read<T>(head, first, count);
      chunk.mix();
      chunk.correct(known ? state.data() : nullptr);
      chunk.read_within();
      chunk.write(known ? state.data() : nullptr, result.data());
      const bool last = first + count == op.offsets[s + 1];
      if (!last || !parents[s].empty() || end) {
        chunk.advance(state.data(), !known);
        known = true;
      }
      write_columns(result.data(), op.value_heads * op.value_dim, head * op.value_dim, first, count,
                    op.value_dim, out);
    });
    end_sequence(op, state.data(), known, parents[s]);
    if (end) std::copy_n(state.data(), op.state_size(), end + (s * op.value_heads + head) * op.state_size());
  }
}

/// What a value head's backward pass needs of a forward one.
struct Passed {
  explicit Passed(const DeltaRule& op)
      : states(chunks_of(op) * op.state_size()),
        written((op.rows() - op.offsets[0]) * op.value_dim),
        said((op.rows() - op.offsets[0]) * op.value_dim) {}

  static int64_t chunks_of(const DeltaRule& op) {
    int64_t chunks = 0;
    for (int64_t s = 0; s < op.sequences; ++s) each_chunk(op, s, [&](int64_t, int64_t) { ++chunks; });
    return chunks;
  }

  Floats states;   ///< before all chunks, one after another
  Floats written;  ///< [rows, value_dim]: `v` of the chunks after `correct`
  Floats said;     ///< [rows, value_dim]: `seen` of the chunks
};

template <typename T>
void pass_forward(const DeltaRule& op, int64_t head, Chunk& chunk, Passed& to) {
  States parents = states_of_parents(op);
  Floats state(op.state_size());
  float* kept = to.states.data();
  for (int64_t s = 0; s < op.sequences; ++s) {
    bool known = begin_sequence(op, head, s, parents, state.data());
    each_chunk(op, s, [&](int64_t first, int64_t count) {
      if (known) std::copy_n(state.data(), op.state_size(), kept);
      kept += op.state_size();
      chunk.read<T>(head, first, count);
      chunk.mix();
      chunk.correct(known ? state.data() : nullptr);
      const int64_t at = (first - op.offsets[0]) * op.value_dim;
      std::copy_n(chunk.v.data(), count * op.value_dim, to.written.data() + at);
      if (known) std::copy_n(chunk.seen.data(), count * op.value_dim, to.said.data() + at);
      const bool last = first + count == op.offsets[s + 1];
      if (last && parents[s].empty()) return;
      chunk.advance(state.data(), !known);
      known = true;
    });
    end_sequence(op, state.data(), known, parents[s]);
  }
}

/// Adds the gradients of a value head's normalised queries and keys to d_q and d_k, [rows, key_dim], and
/// writes those of the rest.
template <typename T>
void backward_value_head(const DeltaRule& op, int64_t head, const DeltaRuleGradients& to, float* d_q,
                         float* d_k) {
  ChunkGradient gradient(op);
  Passed passed(op);
  pass_forward<T>(op, head, gradient.chunk, passed);
  const int64_t a = op.key_dim, b = op.value_dim;
  const float* state = passed.states.data() + Passed::chunks_of(op) * op.state_size();
  States parents = states_of_parents(op);
  Floats d_state(op.state_size());
  for (int64_t s = op.sequences; s-- > 0;) {
    std::copy(parents[s].begin(), parents[s].end(), d_state.data());
    bool ends = parents[s].empty();
    const int64_t length = op.offsets[s + 1] - op.offsets[s];
    for (int64_t i = (length + chunk_rows - 1) / chunk_rows; i-- > 0;) {
      const int64_t first = op.offsets[s] + i * chunk_rows;
      const int64_t count = std::min(chunk_rows, op.offsets[s + 1] - first);
      const int64_t own = first - op.offsets[0];
      gradient.chunk.read<T>(head, first, count);
      read_columns(static_cast<const T*>(to.d_out), op.value_heads * b, head * b, first, count, b,
                   gradient.d_out.data());
      state -= op.state_size();
      const bool begins = i == 0 && op.parent(s) < 0;
      gradient.run(begins && !op.start ? nullptr : state, passed.written.data() + own * b,
                   passed.said.data() + own * b, d_state.data(), ends, begins);
      ends = false;
      write_columns(gradient.v.data(), op.columns(), 2 * op.key_heads * a + head * b, first, count, b,
                    static_cast<T*>(to.d_qkv));
      add_scaled(gradient.q.data(), 1.0F, d_q + own * a, count * a);
      add_scaled(gradient.k.data(), 1.0F, d_k + own * a, count * a);
      for (int64_t row = 0; row < count; ++row) {
        to.d_decay[(first + row) * op.value_heads + head] = gradient.decay[row];
        to.d_beta[(first + row) * op.value_heads + head] = gradient.beta[row];
      }
    }
    if (op.parent(s) >= 0 && !ends)
      add_scaled(d_state.data(), 1.0F, parents[op.parent(s)].data(), op.state_size());
  }
}

/// From the gradients of normalised rows, [rows, key_dim], to those of the columns from `at` on.
template <typename T>
void backward_normalised(const DeltaRule& op, const float* gradients, float factor, int64_t at, T* d_qkv) {
  const int64_t a = op.key_dim;
  std::vector<float> unit(a);
  for (int64_t row = op.offsets[0]; row < op.rows(); ++row) {
    const float* gradient = gradients + (row - op.offsets[0]) * a;
    const T* x = static_cast<const T*>(op.qkv) + row * op.columns() + at;
    T* d_x = d_qkv + row * op.columns() + at;
    const float inverse = normalise(x, a, 1.0F, unit.data());
    const float along = dot(gradient, unit.data(), a);
    for_each_vector(a, [&](auto d, int64_t i) HWY_ATTR {
      const auto across = hn::NegMulAdd(load(d, unit.data() + i), hn::Set(d, along), load(d, gradient + i));
      store(hn::Mul(across, hn::Set(d, inverse * factor)), d, d_x + i);
    });
  }
}

template <typename T>
void backward_head(const DeltaRule& op, int64_t head, const DeltaRuleGradients& to) {
  const int64_t a = op.key_dim;
  const int64_t rows = op.rows() - op.offsets[0];
  std::vector<float> d_q(rows * a), d_k(rows * a);
  for (int64_t r = 0; r < op.shared(); ++r)
    backward_value_head<T>(op, head * op.shared() + r, to, d_q.data(), d_k.data());
  T* d_qkv = static_cast<T*>(to.d_qkv);
  backward_normalised(op, d_q.data(), 1 / std::sqrt(static_cast<float>(a)), head * a, d_qkv);
  backward_normalised(op, d_k.data(), 1.0F, (op.key_heads + head) * a, d_qkv);
}

void forward(const DeltaRule& op, int64_t head, void* out, float* end) {
  for (int64_t r = head * op.shared(); r < (head + 1) * op.shared(); ++r) {
    op.bf16 ? forward_head(op, r, static_cast<uint16_t*>(out), end)
            : forward_head(op, r, static_cast<float*>(out), end);
  }
}

void backward(const DeltaRule& op, int64_t head, const DeltaRuleGradients& gradients) {
  op.bf16 ? backward_head<uint16_t>(op, head, gradients) : backward_head<float>(op, head, gradients);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void delta_rule_forward_cpu(const DeltaRule& op, int64_t head, void* out, float* end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, head, out, end);
}

void delta_rule_backward_cpu(const DeltaRule& op, int64_t head, const DeltaRuleGradients& gradients) {
  HWY_DYNAMIC_DISPATCH(backward)(op, head, gradients);
}

}  // namespace lowrank
#endif
