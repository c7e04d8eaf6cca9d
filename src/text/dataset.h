#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "text/batch.h"
#include "text/labels.h"
#include "text/rows.h"
#include "text/tokenizer.h"

namespace lowrank {

/// The label of a token that is no target.
inline constexpr int64_t no_target = -100;

/// A tokenised row. labels[i] is the token itself where it is a target, else `no_target`; the shift by one
/// position happens when batches are made, as in transformers.
struct Example {
  std::vector<int64_t> tokens, labels;
  int64_t line = 0;
  std::optional<double> label = {};  ///< of the whole row, instead of labels

  int64_t targets() const;  ///< labels after the first, since nothing predicts the first token; or one
};

struct DatasetOptions {
  std::string format;                   ///< empty: detected
  std::vector<std::string> columns;     ///< as RowOptions
  int64_t max_length = 0;               ///< tokens a row; 0: no limit
  std::optional<LabelSet> labels = {};  ///< given: rows are labelled
};

struct Dataset {
  std::vector<Example> examples;
  int64_t truncated = 0;  ///< rows cut to max_length
  int64_t skipped = 0;    ///< rows left without any target, by the cut or of themselves

  int64_t tokens() const;
};

/// Ids of a prompt as training sees it: the tokenizer's prefix (BOS, where it has one) and the text.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt);

/// One row: prompt and completion are tokenised apart and joined, EOS follows, and only completion and EOS
/// are targets. A `text` row is all target.
Example encode_row(const Tokenizer& tokenizer, const Row& row);

/// Cuts the ids of a whole text to `max_length`, with the tokenizer's tokens for the end in the last places.
void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer);

/// Reads and tokenises the files that `pattern` names. `tokenizer` may be null when the rows are tokenised.
/// Errors: as read_rows; invalid when no row has a target or an id is outside `vocabulary`.
Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);

/// The examples laid end to end; positions restart with each.
Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices);

/// Order of `count` examples in an epoch: a function of (seed, epoch) alone, or 0, 1, 2, … without shuffling.
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled);

/// Splits off a share of the examples for evaluation, chosen by the seed; both parts keep the file's order.
/// Errors: invalid when one of the parts would be empty.
std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed);

}  // namespace lowrank
