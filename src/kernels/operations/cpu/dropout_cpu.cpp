#include "kernels/operations/cpu/dropout_cpu.h"

#include <algorithm>

#include "base/rng.h"
#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/operations/cpu/dropout_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

template <class D, typename T>
HWY_INLINE void drop(D d, hn::Vec<hn::Rebind<uint32_t, D>> draws, const DropoutMask& mask, const T* in,
                     T* out) {
  const hn::Rebind<uint32_t, D> words;
  const auto dropped = hn::RebindMask(d, hn::Lt(draws, hn::Set(words, mask.threshold)));
  store(hn::IfThenZeroElse(dropped, hn::Mul(load(d, in), hn::Set(d, mask.kept))), d, out);
}

#if HWY_TARGET != HWY_SCALAR

using U64 = hn::ScalableTag<uint64_t>;
using U32 = hn::Repartition<uint32_t, U64>;
using F32 = hn::Repartition<float, U64>;
using Wide = hn::Vec<U64>;

constexpr int64_t counters = hn::MaxLanes(U64());
/// Vectors of counters that go through the rounds together, since each round waits for its products.
constexpr int ways = 2;
constexpr int64_t values_per_step = 4 * ways * counters;
constexpr int rounds = 10;

/// One word of each counter's state, in the lower half of a lane; the upper half is arbitrary.
struct State {
  Wide c0, c1, c2, c3;
};

struct Keys {
  uint64_t of[rounds][2];

  explicit Keys(uint64_t seed) {
    auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (auto& round : of) {
      round[0] = k0;
      round[1] = k1;
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
  }
};

HWY_INLINE Wide product(Wide a, uint32_t factor) {
  return hn::MulEven(hn::BitCast(U32(), a), hn::Set(U32(), factor));
}

HWY_INLINE State next(const State& s, const uint64_t* key) {
  const Wide p0 = product(s.c0, 0xD2511F53U), p1 = product(s.c2, 0xCD9E8D57U);
  return {hn::Xor3(hn::ShiftRight<32>(p1), s.c1, hn::Set(U64(), key[0])), p1,
          hn::Xor3(hn::ShiftRight<32>(p0), s.c3, hn::Set(U64(), key[1])), p0};
}

/// Low halves of a and b, alternating.
HWY_INLINE Wide paired(Wide a, Wide b) {
  return hn::BitCast(U64(), hn::OddEven(hn::BitCast(U32(), hn::ShiftLeft<32>(b)), hn::BitCast(U32(), a)));
}

/// Processes whole steps of vectors; returns where they end.
template <typename T>
int64_t whole_steps(const T* in, T* out, const DropoutMask& mask, int64_t begin, int64_t end) {
  const U64 d;
  const Keys keys(mask.seed);
  // Even lanes hold the first half of the counters and odd lanes the second: interleaved within blocks of
  // 128 bits, the words then lie in the order of the values.
  HWY_ALIGN uint64_t places[counters];
  for (int64_t i = 0; i < counters; ++i) places[i] = i / 2 + i % 2 * (counters / 2);
  const Wide place = hn::Load(d, places);
  for (; begin + values_per_step <= end; begin += values_per_step) {
    State states[ways];
    for (int w = 0; w < ways; ++w) {
      const Wide counter = hn::Add(hn::Set(d, begin / 4 + w * counters), place);
      states[w] = {counter, hn::ShiftRight<32>(counter), hn::Zero(d), hn::Zero(d)};
    }
#pragma GCC unroll 10
    for (const auto& key : keys.of) {
      for (State& state : states) state = next(state, key);
    }
    for (int w = 0; w < ways; ++w) {
      const auto [c0, c1, c2, c3] = states[w];
      const Wide first = paired(c0, c1), second = paired(c2, c3);
      const int64_t at = begin + w * 4 * counters;
      drop(F32(), hn::BitCast(U32(), hn::InterleaveLower(d, first, second)), mask, in + at, out + at);
      drop(F32(), hn::BitCast(U32(), hn::InterleaveUpper(d, first, second)), mask, in + at + 2 * counters,
           out + at + 2 * counters);
    }
  }
  return begin;
}
#endif

template <typename T>
void drop_all(const T* in, T* out, const DropoutMask& mask, int64_t begin, int64_t end) {
  const hn::CappedTag<float, 1> single;
  const hn::Rebind<uint32_t, decltype(single)> word;
#if HWY_TARGET != HWY_SCALAR
  begin = whole_steps(in, out, mask, begin, end);
#endif
  for (int64_t i = begin; i < end; i += 4) {
    const auto block = static_cast<uint64_t>(i / 4);
    const auto words =
        philox(mask.seed, {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0});
    for (int64_t j = i; j < std::min(i + 4, end); ++j)
      drop(single, hn::Set(word, words[j - i]), mask, in + j, out + j);
  }
}

void drop_any(const DropoutTask& op, int64_t begin, int64_t end) {
  const int64_t first = begin * 4, last = std::min(end * 4, op.values);
  op.bf16
      ? drop_all(static_cast<const uint16_t*>(op.in), static_cast<uint16_t*>(op.out), op.mask, first, last)
      : drop_all(static_cast<const float*>(op.in), static_cast<float*>(op.out), op.mask, first, last);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(drop_any);

void dropout_cpu(const DropoutTask& op, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(drop_any)(op, begin, end);
}

}  // namespace lowrank
#endif
