#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"

namespace lowrank {

/// A row as so many sequences of a batch, one after the other.
struct TextGroup {
  int64_t texts = 0;
  double score = 0;  ///< of two texts
};

/// The texts of all rows as sequences, in order. The targets say to which row a text belongs: `examples` [S]
/// is its number in the batch, `values` [S] its score. `numbers`: those of the rows in their data set.
Batch make_text_batch(std::span<const Example> rows, std::span<const int64_t> numbers);

/// True for a batch of make_text_batch.
bool has_text_groups(const Batch& batch);
/// Its rows.
std::vector<TextGroup> text_groups(const Batch& batch);

/// The batch's texts in parts of at most `most`, in order, which say nothing of rows.
std::vector<Batch> text_parts(const Batch& batch, int64_t most);
/// The same of its texts from `begin` to before `end`.
std::vector<Batch> text_parts(const Batch& batch, int64_t begin, int64_t end, int64_t most);

}  // namespace lowrank
