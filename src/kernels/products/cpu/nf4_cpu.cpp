#include "kernels/products/cpu/nf4_cpu.h"

#include <algorithm>
#include <cstring>

#include "kernels/core/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/products/cpu/nf4_cpu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/core/cpu/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowrank {
namespace HWY_NAMESPACE {

using F32 = hn::ScalableTag<float>;
using U32 = hn::Rebind<uint32_t, F32>;

/// The 16 values that a block can have, so that each of its values is one lookup.
template <typename T>
struct Table {
  HWY_ALIGN T values[16];

  HWY_INLINE Table(const float* codes, float scale) {
    for_each_vector(16, [&](auto d, int64_t i) HWY_ATTR {
      store(hn::Mul(load(d, codes + i), hn::Set(d, scale)), d, values + i);
    });
  }

  T of(const uint8_t* packed, int64_t i) const {
    return values[i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 0xF];
  }
};

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

constexpr int64_t lanes = hn::MaxLanes(F32());

/// Lane i has index i of the bytes in its low 4 bits, and arbitrary bits above them.
HWY_INLINE hn::Vec<U32> indices_from(const uint8_t* bytes) {
  // Bit positions of the 8 values that 4 bytes hold, in one little-endian word.
  HWY_ALIGN static constexpr uint32_t places[16] = {4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24};
  const U32 d;
  uint32_t words[lanes / 8];
  std::memcpy(words, bytes, sizeof(words));
  auto word = hn::Set(d, words[0]);
  if constexpr (lanes == 16) word = hn::IfThenElse(hn::FirstN(d, 8), word, hn::Set(d, words[1]));
  return hn::Shr(word, hn::Load(d, places));
}

/// Bits of the table's values at `indices`.
template <typename T>
HWY_INLINE hn::Vec<U32> looked_up(const Table<T>& table, hn::Vec<U32> indices) {
  const F32 f;
  const U32 d;
  const hn::Rebind<T, U32> stored;
  const auto part = [&](int64_t begin) HWY_ATTR {
    const auto values = hn::LoadU(stored, table.values + begin);
    if constexpr (sizeof(T) == 2) {
      return hn::BitCast(f, hn::PromoteTo(d, values));
    } else {
      return values;
    }
  };
  const auto places = hn::IndicesFromVec(f, hn::And(indices, hn::Set(d, lanes - 1)));
  auto found = hn::TableLookupLanes(part(0), places);
  if constexpr (lanes == 8) {
    const auto upper = hn::TableLookupLanes(part(8), places);
    found = hn::IfNegativeThenElse(hn::BitCast(f, hn::ShiftLeft<28>(indices)), upper, found);
  }
  return hn::BitCast(d, found);
}

/// Expands whole vectors of a block's values [i, end), i even; returns where they end.
template <typename T>
HWY_INLINE int64_t expand_vectors(const Table<T>& table, const uint8_t* packed, int64_t i, int64_t end,
                                  T* out) {
  const F32 f;
  const U32 d;
  for (const int64_t begin = i; i + lanes <= end; i += lanes) {
    const auto bits = looked_up(table, indices_from(packed + i / 2));
    if constexpr (sizeof(T) == 2) {
      hn::StoreU(hn::TruncateTo(hn::Rebind<uint16_t, U32>(), bits), hn::Rebind<uint16_t, U32>(),
                 out + i - begin);
    } else {
      hn::StoreU(hn::BitCast(f, bits), f, out + i - begin);
    }
  }
  return i;
}
#endif

template <typename T>
void expand(const Nf4Values& from, T* out, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end;) {
    const int64_t number = i / from.block;
    const int64_t block_end = std::min(end, (number + 1) * from.block);
    const Table<T> table(from.codes, from.scales[number - from.first_block]);
    if (i % 2 == 1) {
      out[i - begin] = table.of(from.packed, i);
      ++i;
    }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
    i = expand_vectors(table, from.packed, i, block_end, out + i - begin);
#endif
    for (; i < block_end; ++i) out[i - begin] = table.of(from.packed, i);
  }
}

void expand_any(const Nf4Values& from, void* out, bool bf16, int64_t begin, int64_t end) {
  bf16 ? expand(from, static_cast<uint16_t*>(out), begin, end)
       : expand(from, static_cast<float*>(out), begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowrank
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowrank {

HWY_EXPORT(expand_any);

void expand_nf4_cpu(const Nf4Values& values, void* out, bool bf16, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(expand_any)(values, out, bf16, begin, end);
}

}  // namespace lowrank
#endif
