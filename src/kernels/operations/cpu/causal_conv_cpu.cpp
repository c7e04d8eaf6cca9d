#include "kernels/operations/cpu/causal_conv_cpu.h"

#include <array>
#include <vector>

#include "kernels/core/cpu/highway_targets.h"
#include "kernels/operations/causal_conv.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/causal_conv_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

/// The rows that a row of the result is computed from; [j] is j places before it.
template <typename T>
struct Sources {
  std::array<const T*, most_taps> rows;    ///< null: zero
  std::array<int64_t, most_taps> indices;  ///< in x; -1: not in x
};

/// Calls step(row, sources) for all rows.
template <typename T, class Step>
void each_row(const CausalConv& op, Step step) {
  const T* x = static_cast<const T*>(op.x);
  const T* before = static_cast<const T*>(op.before);
  const int64_t past = op.taps - 1;
  Sources<T> sources;
  for (int64_t s = 0; s < op.sequences; ++s) {
    const int64_t first = op.offsets[s];
    for (int64_t row = first; row < op.offsets[s + 1]; ++row) {
      for (int64_t j = 0; j < op.taps; ++j) {
        const int64_t back = j - (row - first);
        const int64_t index = back <= 0 ? row - j : op.history[s * past + back - 1];
        sources.indices[j] = index;
        sources.rows[j] = index >= 0 ? x + index * op.channels
                          : before   ? before + (s * past + past - back) * op.channels
                                     : nullptr;
      }
      step(row, sources);
    }
  }
}

/// The sum over the taps for the channels from `at` on.
template <class D, typename T>
HWY_INLINE hn::Vec<D> convolved(D d, const CausalConv& op, const Sources<T>& sources, int64_t at) {
  auto sum = hn::Zero(d);
  for (int64_t j = 0; j < op.taps; ++j) {
    if (!sources.rows[j]) continue;
    const float* weight = op.weight + (op.taps - 1 - j) * op.channels;
    sum = hn::MulAdd(load(d, weight + at), load(d, sources.rows[j] + at), sum);
  }
  return sum;
}

template <typename T>
void forward_channels(const CausalConv& op, T* out, int64_t begin, int64_t end) {
  each_row<T>(op, [&](int64_t row, const Sources<T>& sources) {
    T* to = out + row * op.channels;
    for_each_vector(end - begin, [&](auto d, int64_t i) HWY_ATTR {
      const auto sum = convolved(d, op, sources, begin + i);
      store(op.silu ? hn::Mul(sum, sigmoid(d, sum)) : sum, d, to + begin + i);
    });
  });
}

/// The gradient before the activation.
template <class D, typename T>
HWY_INLINE hn::Vec<D> inner_gradient(D d, const CausalConv& op, const Sources<T>& sources, const T* d_out,
                                     int64_t at) {
  const auto outer = load(d, d_out + at);
  if (!op.silu) return outer;
  const auto sum = convolved(d, op, sources, at);
  const auto s = sigmoid(d, sum);
  const auto one = hn::Set(d, 1.0F);
  return hn::Mul(outer, hn::Mul(s, hn::MulAdd(sum, hn::Sub(one, s), one)));
}

template <typename T>
void backward_channels(const CausalConv& op, const T* d_out, T* d_x, float* d_weight, int64_t begin,
                       int64_t end) {
  const int64_t width = end - begin;
  const int64_t rows = op.offsets[op.sequences];
  // A row's gradient comes from several rows, also of other sequences, and is rounded once.
  std::vector<float> sums(rows * width), weight_sums(d_weight ? op.taps * width : 0);
  each_row<T>(op, [&](int64_t row, const Sources<T>& sources) {
    for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
      const auto gradient = inner_gradient(d, op, sources, d_out + row * op.channels, begin + i);
      for (int64_t j = 0; j < op.taps; ++j) {
        const int64_t tap = op.taps - 1 - j;
        if (sources.indices[j] >= 0) {
          float* sum = sums.data() + sources.indices[j] * width + i;
          store(hn::MulAdd(load(d, op.weight + tap * op.channels + begin + i), gradient, load(d, sum)), d,
                sum);
        }
        if (d_weight && sources.rows[j]) {
          float* sum = weight_sums.data() + tap * width + i;
          store(hn::MulAdd(load(d, sources.rows[j] + begin + i), gradient, load(d, sum)), d, sum);
        }
      }
    });
  });
  const auto copy = [&](const float* from, auto* to, int64_t count) {
    for (int64_t row = 0; row < count; ++row) {
      for_each_vector(width, [&](auto d, int64_t i) HWY_ATTR {
        store(load(d, from + row * width + i), d, to + row * op.channels + begin + i);
      });
    }
  };
  copy(sums.data(), d_x, rows);
  if (d_weight) copy(weight_sums.data(), d_weight, op.taps);
}

void forward(const CausalConv& op, void* out, int64_t begin, int64_t end) {
  op.bf16 ? forward_channels(op, static_cast<uint16_t*>(out), begin, end)
          : forward_channels(op, static_cast<float*>(out), begin, end);
}

void backward(const CausalConv& op, const void* d_out, void* d_x, float* d_weight, int64_t begin,
              int64_t end) {
  op.bf16 ? backward_channels(op, static_cast<const uint16_t*>(d_out), static_cast<uint16_t*>(d_x), d_weight,
                              begin, end)
          : backward_channels(op, static_cast<const float*>(d_out), static_cast<float*>(d_x), d_weight, begin,
                              end);
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

void causal_conv_backward_cpu(const CausalConv& op, const void* d_out, void* d_x, float* d_weight,
                              int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward)(op, d_out, d_x, d_weight, begin, end);
}

}  // namespace lowrank
#endif
