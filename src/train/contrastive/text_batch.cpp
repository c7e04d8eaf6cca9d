#include "train/contrastive/text_batch.h"

#include <algorithm>

#include "data/batch_parts.h"

namespace lowrank {

Batch make_text_batch(std::span<const Example> rows, std::span<const int64_t> numbers) {
  Batch batch;
  batch.offsets.push_back(0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Example& row = rows[i];
    int64_t begin = 0;
    for (const int64_t end : row.text_ends) {
      batch.tokens.insert(batch.tokens.end(), row.tokens.begin() + begin, row.tokens.begin() + end);
      for (int64_t position = 0; position < end - begin; ++position) batch.positions.push_back(position);
      batch.offsets.push_back(batch.token_count());
      batch.examples.push_back(numbers[i]);
      begin = end;
    }
    batch.groups.push_back({std::ssize(row.text_ends), row.label});
  }
  return batch;
}

std::vector<Batch> text_parts(const Batch& batch, int64_t most) {
  std::vector<Batch> parts;
  for (int64_t begin = 0; begin < batch.sequences(); begin += std::min(most, batch.sequences()))
    parts.push_back(part_of(batch, begin, begin + std::min(most, batch.sequences() - begin)));
  return parts;
}

}  // namespace lowrank
