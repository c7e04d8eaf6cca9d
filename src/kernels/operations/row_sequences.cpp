#include "kernels/operations/row_sequences.h"

namespace lowrank {

std::vector<int64_t> rows_before(const RowSequences& sequences, int64_t count) {
  std::vector<int64_t> before(sequences.count() * count, -1);
  for (int64_t s = 0; s < sequences.count(); ++s) {
    int64_t found = 0;
    for (int64_t seen = sequences.parent(s); seen >= 0 && found < count; seen = sequences.parent(seen)) {
      for (int64_t row = sequences.offsets[seen + 1]; row-- > sequences.offsets[seen] && found < count;)
        before[s * count + found++] = row;
    }
  }
  return before;
}

}  // namespace lowrank
