#include "train/contrastive/text_batch.h"

#include <algorithm>

#include "data/batch_parts.h"
#include "data/compared/compared_example.h"

namespace lowrank {

Batch make_text_batch(std::span<const Example> rows, std::span<const int64_t> numbers) {
  Batch batch;
  batch.offsets.push_back(0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Example& row = rows[i];
    int64_t begin = 0;
    for (const int64_t end : text_ends(row)) {
      batch.tokens.insert(batch.tokens.end(), row.tokens.begin() + begin, row.tokens.begin() + end);
      for (int64_t position = 0; position < end - begin; ++position) batch.positions.push_back(position);
      batch.offsets.push_back(batch.token_count());
      batch.examples.push_back(numbers[i]);
      batch.targets.examples.push_back(static_cast<int64_t>(i));
      batch.targets.values.push_back(static_cast<float>(row.label.value_or(0)));
      batch.targets.weights.push_back(1);
      begin = end;
    }
  }
  return batch;
}

bool has_text_groups(const Batch& batch) {
  const Targets& targets = batch.targets;
  return !targets.values.empty() && targets.examples.size() == targets.values.size();
}

std::vector<TextGroup> text_groups(const Batch& batch) {
  std::vector<TextGroup> groups;
  const Targets& targets = batch.targets;
  for (size_t s = 0; s < targets.examples.size(); ++s) {
    if (targets.examples[s] == std::ssize(groups)) groups.push_back({0, targets.values[s]});
    ++groups.back().texts;
  }
  return groups;
}

std::vector<Batch> text_parts(const Batch& batch, int64_t most) {
  return text_parts(batch, 0, batch.sequences(), most);
}

std::vector<Batch> text_parts(const Batch& batch, int64_t begin, int64_t end, int64_t most) {
  std::vector<Batch> parts;
  for (; begin < end; begin += std::min(most, end - begin))
    parts.push_back(part_of(batch, begin, begin + std::min(most, end - begin)));
  return parts;
}

}  // namespace lowrank
