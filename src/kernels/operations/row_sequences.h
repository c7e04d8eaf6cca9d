#pragma once

#include <cstdint>
#include <vector>

namespace lowrank {

/// How packed rows follow each other, for operations that carry something from row to row.
struct RowSequences {
  std::vector<int64_t> offsets;  ///< [S+1] first row of each sequence, then T
  std::vector<int64_t> parents;  ///< [S] the earlier sequence whose last row precedes each one's first, -1:
                                 ///< none; empty: none has one

  int64_t count() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t rows() const { return offsets.back(); }
  int64_t parent(int64_t sequence) const { return parents.empty() ? -1 : parents[sequence]; }
};

/// The `count` rows before each sequence's first, the nearest first: [S * count], -1 where there are none.
std::vector<int64_t> rows_before(const RowSequences& sequences, int64_t count);

}  // namespace lowrank
