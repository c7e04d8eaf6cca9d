#include "kernels/operations/walsh_hadamard.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/walsh_hadamard_cpu.h"

namespace lowrank {
namespace {

/// Values that stay in the second-level cache while all their stages run.
constexpr int64_t block_values = 16384;
/// The fewest values that one thread takes.
constexpr int64_t values_per_task = 1 << 16;
/// Rows that stages between blocks take at a time: they are a power of two apart, so they share one set of
/// the first-level cache, which holds 8 lines on most processors.
constexpr int64_t most_rows = 8;
constexpr int64_t columns_per_task = 512;

void check_size(size_t n) {
  check(std::has_single_bit(n), ErrorKind::invalid,
        "a Walsh-Hadamard transform needs a power of two, not {} values", n);
}

}  // namespace

void walsh_hadamard(std::span<float> values) {
  check_size(values.size());
  const auto n = static_cast<int64_t>(values.size());
  int64_t done = std::min(n, block_values);
  parallel_for(0, n / done, values_per_task / done, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) walsh_hadamard_cpu(values.data() + i * done, done);
  });
  // Runs of `done` values are transformed: rows of a matrix whose columns are transformed next.
  for (; done < n; done *= std::min(most_rows, n / done)) {
    const int64_t rows = std::min(most_rows, n / done);
    const int64_t grain = std::max<int64_t>(1, values_per_task / (rows * columns_per_task));
    parallel_for(0, n / (rows * columns_per_task), grain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t column = i * columns_per_task;
        walsh_hadamard_columns_cpu(values.data() + column / done * rows * done + column % done, done, rows,
                                   columns_per_task);
      }
    });
  }
}

void walsh_hadamard(std::span<double> values) {
  check_size(values.size());
  walsh_hadamard_stages(values);
}

void walsh_hadamard_reference(std::span<double> values) {
  const std::vector<double> x(values.begin(), values.end());
  for (uint64_t i = 0; i < x.size(); ++i) {
    values[i] = 0;
    for (uint64_t j = 0; j < x.size(); ++j) values[i] += std::popcount(i & j) % 2 == 0 ? x[j] : -x[j];
  }
}

}  // namespace lowrank
