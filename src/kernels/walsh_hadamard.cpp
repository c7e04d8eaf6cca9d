#include "kernels/walsh_hadamard.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"
#include "kernels/parallel.h"

namespace lowrank {
namespace {

/// Values that stay in the first-level cache while all their stages run.
constexpr int64_t block_values = 4096;
/// Pairs that one thread takes at least.
constexpr int64_t pairs_per_task = 1 << 15;

/// (a, b) <- (a + b, a - b) for `count` neighbouring values of each.
template <class T>
void butterflies(T* a, T* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const T sum = a[i] + b[i];
    b[i] = a[i] - b[i];
    a[i] = sum;
  }
}

/// All stages within n values.
template <class T>
void transform_block(T* values, int64_t n) {
  for (int64_t half = 1; half < n; half *= 2) {
    for (int64_t begin = 0; begin < n; begin += 2 * half)
      butterflies(values + begin, values + begin + half, half);
  }
}

template <class T>
void transform(std::span<T> values) {
  const auto n = static_cast<int64_t>(values.size());
  check(std::has_single_bit(values.size()), ErrorKind::invalid,
        "a Walsh-Hadamard transform needs a power of two, not {} values", n);
  const int64_t block = std::min(n, block_values);
  parallel_for(0, n / block, pairs_per_task / block_values, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) transform_block(values.data() + i * block, block);
  });
  // The stages between blocks: every run of `block` pairs lies in one pair of halves.
  for (int64_t half = block; half < n; half *= 2) {
    parallel_for(0, n / 2 / block, pairs_per_task / block_values, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t pair = i * block;
        T* a = values.data() + pair / half * 2 * half + pair % half;
        butterflies(a, a + half, block);
      }
    });
  }
}

}  // namespace

void walsh_hadamard(std::span<float> values) {
  transform(values);
}

void walsh_hadamard(std::span<double> values) {
  transform(values);
}

void walsh_hadamard_reference(std::span<double> values) {
  const std::vector<double> x(values.begin(), values.end());
  for (uint64_t i = 0; i < x.size(); ++i) {
    values[i] = 0;
    for (uint64_t j = 0; j < x.size(); ++j) values[i] += std::popcount(i & j) % 2 == 0 ? x[j] : -x[j];
  }
}

}  // namespace lowrank
