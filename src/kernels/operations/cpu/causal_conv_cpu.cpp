#include "kernels/operations/cpu/causal_conv_cpu.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <type_traits>
#include <vector>

#include <hwy/cache_control.h>

#include "kernels/core/cpu/highway_targets.h"
#include "kernels/operations/causal_conv.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/causal_conv_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// Channels that are computed together, row by row: with so many, the weights and the rows that a row of the
/// result is made of stay in the first-level cache.
constexpr int64_t channels_together = 1024;

/// The rows that a row of the result is computed from; [j] is j places before it.
template <typename T>
struct Sources {
  std::array<const T*, most_taps> rows;    ///< null: zero
  std::array<const T*, most_taps> gates;   ///< null: 1
  std::array<int64_t, most_taps> indices;  ///< in x; -1: not in x
};

/// Asks for what the next row reads in the place of `p`: rows lie so far apart that the processor does not
/// foresee it.
template <typename T>
HWY_INLINE void fetch_next(const T* p, int64_t stride) {
  // As a number: behind the last row it is no pointer into the matrix.
  hwy::Prefetch(reinterpret_cast<const T*>(reinterpret_cast<uintptr_t>(p) + stride * sizeof(T)));
}

/// Calls step(row, sources) for the rows of sequence `s`.
template <typename T, class Step>
HWY_INLINE void each_row(const CausalConv& op, int64_t s, Step step) {
  const T* x = static_cast<const T*>(op.x);
  const T* gate = static_cast<const T*>(op.in_gate);
  const T* before = static_cast<const T*>(op.before);
  const int64_t past = op.taps - 1, first = op.offsets[s];
  Sources<T> sources;
  for (int64_t row = first; row < op.offsets[s + 1]; ++row) {
    for (int64_t j = 0; j < op.taps; ++j) {
      const int64_t back = j - (row - first);
      const int64_t index = back <= 0 ? row - j : op.history[s * past + back - 1];
      sources.indices[j] = index;
      sources.rows[j] = index >= 0 ? x + index * op.stride
                        : before   ? before + (s * past + past - back) * op.channels
                                   : nullptr;
      sources.gates[j] = index >= 0 && gate ? gate + index * op.stride : nullptr;
    }
    step(row, sources);
  }
}

/// `known`, or, if that is 0, what the operation says: loops over a known number are unrolled.
template <int64_t known>
HWY_INLINE int64_t taps_of(const CausalConv& op) {
  return known > 0 ? known : op.taps;
}

/// The value that stands j places before a row.
template <class D, typename T>
HWY_INLINE hn::Vec<D> value_of(D d, const Sources<T>& sources, int64_t j, int64_t at) {
  const auto value = load(d, sources.rows[j] + at);
  return sources.gates[j] ? hn::Mul(value, load(d, sources.gates[j] + at)) : value;
}

/// The sum over the taps for the channels from `at` on.
template <int64_t known_taps, class D, typename T>
HWY_INLINE hn::Vec<D> convolved(D d, const CausalConv& op, const Sources<T>& sources, int64_t at) {
  auto sum = hn::Zero(d);
  const int64_t taps = taps_of<known_taps>(op);
  for (int64_t j = 0; j < taps; ++j) {
    if (!sources.rows[j]) continue;
    const float* weight = op.weight + (taps - 1 - j) * op.channels;
    sum = hn::MulAdd(load(d, weight + at), value_of(d, sources, j, at), sum);
  }
  return sum;
}

template <typename T, int64_t known_taps>
void forward_channels(const CausalConv& op, T* out, int64_t begin, int64_t end) {
  for (int64_t s = 0; s < op.sequences; ++s) {
    each_row<T>(op, s, [&](int64_t row, const Sources<T>& sources) HWY_ATTR {
      T* to = out + row * op.channels;
      const T* gate = op.out_gate ? static_cast<const T*>(op.out_gate) + row * op.stride : nullptr;
      for_each_vector(end - begin, [&](auto d, int64_t i) HWY_ATTR {
        fetch_next(sources.rows[0] + begin + i, op.stride);
        if (sources.gates[0]) fetch_next(sources.gates[0] + begin + i, op.stride);
        if (gate) fetch_next(gate + begin + i, op.stride);
        auto y = convolved<known_taps>(d, op, sources, begin + i);
        if (op.silu) y = hn::Mul(y, sigmoid(d, y));
        if (gate) y = hn::Mul(y, load(d, gate + begin + i));
        store(y, d, to + begin + i);
      });
    });
  }
}

/// The backward pass over some channels. A row's gradient comes from several rows: it is summed in f32 and
/// rounded once, as soon as its sequence has passed it. For rows that other sequences continue, that is at
/// the end.
template <typename T, int64_t known_taps>
class Backward {
 public:
  Backward(const CausalConv& op, const CausalConvGradients& to, int64_t begin, int64_t end)
      : op_(op),
        to_(to),
        begin_(begin),
        width_(end - begin),
        recent_(op.taps * width_),
        weight_sums_(to.d_weight ? op.taps * width_ : 0) {
    const int64_t* history = op.history;
    std::copy_if(history, history + op.sequences * (op.taps - 1), std::back_inserter(continued_),
                 [](int64_t row) { return row >= 0; });
    std::sort(continued_.begin(), continued_.end());
    continued_.erase(std::unique(continued_.begin(), continued_.end()), continued_.end());
    continued_sums_.resize(continued_.size() * width_);
  }

  void run() {
    const int64_t past = op_.taps - 1;
    for (int64_t s = 0; s < op_.sequences; ++s) {
      const int64_t first = op_.offsets[s], end = op_.offsets[s + 1];
      each_row<T>(op_, s, [&](int64_t row, const Sources<T>& sources) HWY_ATTR {
        add_row(first, row, sources);
        if (row - past >= first) finish(row - past);
      });
      for (int64_t row = std::max(first, end - past); row < end; ++row) finish(row);
    }
    for (size_t i = 0; i < continued_.size(); ++i)
      write(continued_[i], continued_sums_.data() + static_cast<int64_t>(i) * width_);
    for (int64_t tap = 0; to_.d_weight && tap < op_.taps; ++tap)
      std::copy_n(weight_sums_.data() + tap * width_, width_, to_.d_weight + tap * op_.channels + begin_);
  }

 private:
  float* recent(int64_t row) { return recent_.data() + row % op_.taps * width_; }
  /// Null for a row that no other sequence continues.
  float* continued(int64_t row) {
    const auto found = std::lower_bound(continued_.begin(), continued_.end(), row);
    if (found == continued_.end() || *found != row) return nullptr;
    return continued_sums_.data() + (found - continued_.begin()) * width_;
  }

  /// The gradient before gate and activation, which also writes the gate's.
  template <class D>
  HWY_INLINE hn::Vec<D> inner_gradient(D d, int64_t row, const Sources<T>& sources, int64_t at) const {
    const T* d_out = static_cast<const T*>(to_.d_out) + row * op_.channels + at;
    fetch_next(d_out, op_.channels);
    fetch_next(sources.rows[0] + at, op_.stride);
    auto gradient = load(d, d_out);
    if (!op_.silu && !op_.out_gate) return gradient;
    const auto sum = convolved<known_taps>(d, op_, sources, at), one = hn::Set(d, 1.0F);
    const auto s = op_.silu ? sigmoid(d, sum) : one;
    if (op_.out_gate) {
      store(hn::Mul(gradient, hn::Mul(sum, s)), d, static_cast<T*>(to_.d_out_gate) + row * to_.stride + at);
      gradient = hn::Mul(gradient, load(d, static_cast<const T*>(op_.out_gate) + row * op_.stride + at));
    }
    if (!op_.silu) return gradient;
    return hn::Mul(gradient, hn::Mul(s, hn::MulAdd(sum, hn::Sub(one, s), one)));
  }

  void add_row(int64_t first, int64_t row, const Sources<T>& sources) {
    std::array<float*, most_taps> sums;
    for (int64_t j = 0; j < op_.taps; ++j) {
      const int64_t index = sources.indices[j];
      sums[j] = index >= first ? recent(index) : index >= 0 ? continued(index) : nullptr;
    }
    for_each_vector(width_, [&](auto d, int64_t i) HWY_ATTR {
      const int64_t at = begin_ + i;
      const auto gradient = inner_gradient(d, row, sources, at);
      const int64_t taps = taps_of<known_taps>(op_);
      for (int64_t j = 0; j < taps; ++j) {
        const int64_t tap = taps - 1 - j;
        if (sums[j]) {
          const auto through = hn::Mul(load(d, op_.weight + tap * op_.channels + at), gradient);
          // The row's own tap is the first that reaches it.
          store(j == 0 ? through : hn::Add(through, load(d, sums[j] + i)), d, sums[j] + i);
        }
        if (to_.d_weight && sources.rows[j]) {
          float* sum = weight_sums_.data() + tap * width_ + i;
          store(hn::MulAdd(value_of(d, sources, j, at), gradient, load(d, sum)), d, sum);
        }
      }
    });
  }

  void finish(int64_t row) {
    const float* sums = recent(row);
    float* later = continued_.empty() ? nullptr : continued(row);
    if (!later) return write(row, sums);
    for_each_vector(width_, [&](auto d, int64_t i) HWY_ATTR {
      store(hn::Add(load(d, sums + i), load(d, later + i)), d, later + i);
    });
  }

  void write(int64_t row, const float* sums) {
    T* d_x = static_cast<T*>(to_.d_x) + row * to_.stride + begin_;
    if (!op_.in_gate) {
      for_each_vector(width_, [&](auto d, int64_t i) HWY_ATTR { store(load(d, sums + i), d, d_x + i); });
      return;
    }
    T* d_gate = static_cast<T*>(to_.d_in_gate) + row * to_.stride + begin_;
    const int64_t from = row * op_.stride + begin_;
    const T *x = static_cast<const T*>(op_.x) + from, *gate = static_cast<const T*>(op_.in_gate) + from;
    for_each_vector(width_, [&](auto d, int64_t i) HWY_ATTR {
      const auto sum = load(d, sums + i);
      store(hn::Mul(sum, load(d, gate + i)), d, d_x + i);
      store(hn::Mul(sum, load(d, x + i)), d, d_gate + i);
    });
  }

  const CausalConv& op_;
  const CausalConvGradients& to_;
  int64_t begin_, width_;
  std::vector<float> recent_;       ///< [taps, width], row r in place r % taps
  std::vector<int64_t> continued_;  ///< rows that other sequences continue, ascending
  std::vector<float> continued_sums_, weight_sums_;
};

/// Calls step(begin, end) for the channels [begin, end), channels_together at a time.
template <class Step>
void each_group(int64_t begin, int64_t end, Step step) {
  for (; begin < end; begin += channels_together) step(begin, std::min(end, begin + channels_together));
}

/// Calls run with the number of taps as a constant, if it is 3 or 4, else with 0.
template <class Run>
void with_known_taps(const CausalConv& op, Run run) {
  if (op.taps == 4) return run(std::integral_constant<int64_t, 4>());
  if (op.taps == 3) return run(std::integral_constant<int64_t, 3>());
  run(std::integral_constant<int64_t, 0>());
}

void forward(const CausalConv& op, void* out, int64_t begin, int64_t end) {
  with_known_taps(op, [&](auto taps) {
    constexpr int64_t known = decltype(taps)::value;
    each_group(begin, end, [&](int64_t first, int64_t last) {
      op.bf16 ? forward_channels<uint16_t, known>(op, static_cast<uint16_t*>(out), first, last)
              : forward_channels<float, known>(op, static_cast<float*>(out), first, last);
    });
  });
}

void backward(const CausalConv& op, const CausalConvGradients& to, int64_t begin, int64_t end) {
  with_known_taps(op, [&](auto taps) {
    constexpr int64_t known = decltype(taps)::value;
    each_group(begin, end, [&](int64_t first, int64_t last) {
      op.bf16 ? Backward<uint16_t, known>(op, to, first, last).run()
              : Backward<float, known>(op, to, first, last).run();
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(forward);
HWY_EXPORT(backward);

void causal_conv_forward_cpu(const CausalConv& op, void* out, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward)(op, out, begin, end);
}

void causal_conv_backward_cpu(const CausalConv& op, const CausalConvGradients& to, int64_t begin,
                              int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, to, begin, end);
}

}  // namespace lowrank
#endif
