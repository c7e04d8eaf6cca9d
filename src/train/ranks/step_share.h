#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowrank {

/// The micro-batches of a step, of `count`, that a rank computes: r, r + N, r + 2 N, ... of N ranks.
std::vector<int64_t> batches_of_rank(int64_t count, int64_t rank, int64_t size);

/// Adjacent rows, from `begin` to before `end`.
struct RowRange {
  int64_t begin = 0, end = 0;
};

/// The rows that a rank computes of a step with fewer micro-batches than ranks: ranks take adjacent parts
/// with about the same number of tokens, which may be empty. `lengths`: tokens of the step's rows.
RowRange rows_of_rank(std::span<const int64_t> lengths, int64_t rank, int64_t size);

}  // namespace lowrank
