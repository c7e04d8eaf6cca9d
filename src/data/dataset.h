#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/labels.h"
#include "data/rows.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// A tokenised row. labels[i] is the token itself if it is a target, else `no_target`; the shift by one
/// position happens when batches are made, as in transformers.
struct Example {
  std::vector<int64_t> tokens, labels;
  int64_t line = 0;
  std::optional<double> label = {};  ///< of the whole example, instead of `labels`
  int64_t length = 0;                ///< number of tokens before it was cut; 0: it was not cut
  int64_t adapter = no_adapter;      ///< as in Batch::adapters

  int64_t targets() const;  ///< targets after the first token, which nothing predicts; 1 with a `label`
};

struct DatasetOptions {
  std::string format;                   ///< empty: detected
  std::vector<std::string> columns;     ///< as in RowOptions
  int64_t max_length = 0;               ///< tokens per example; 0: no limit
  std::optional<LabelSet> labels = {};  ///< if set, rows are labelled
  /// Maps the adapter name in a row to its number; null: rows name no adapters.
  std::function<int64_t(const std::string& name)> adapter_number = nullptr;
};

/// Counts of likely mistakes in the rows.
struct RowNotes {
  int64_t begun = 0;   ///< rows that already begin with the beginning token, which is not repeated
  int64_t closed = 0;  ///< rows that already end with an end token; no second one is added
  int64_t empty = 0;   ///< completions without text, which teach only the end token
  int64_t rows = 0;    ///< rows of text, the base of these counts

  /// A sentence for each count above 0, except `rows`.
  std::vector<std::string> warnings() const;
};

struct Dataset {
  std::vector<Example> examples;
  int64_t truncated = 0;    ///< rows cut to max_length
  int64_t skipped = 0;      ///< rows without any target, because of the cut or from the start
  int64_t cut_tokens = 0;   ///< of the cut rows, before the cut
  int64_t lost_tokens = 0;  ///< of these, how many were cut off
  std::vector<std::string> truncated_rows, skipped_rows;  ///< file and line of the first hundred of each
  RowNotes notes;

  int64_t tokens() const;
};

/// Ids of a prompt as in training: the tokenizer's prefix (BOS, if it has one) and the text. The prefix is
/// not repeated if the text already begins with it.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt);

/// The example of one row: prompt and completion are tokenised separately and joined, EOS follows unless the
/// completion ends with an end token, and only the completion and the end are targets. In a `text` row every
/// token is a target. The first `max_length` tokens are kept (0: all). Adds to `notes`.
Example encode_row(const Tokenizer& tokenizer, const Row& row, int64_t max_length, RowNotes& notes);

/// Truncates the ids of a whole text to `max_length`, keeping the tokenizer's suffix at the end.
void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer);

/// Reads and tokenises the files that `pattern` names. `tokenizer` may be null if the rows are already
/// tokenised. Errors: as read_rows; invalid if no row has a target or an id is outside `vocabulary`.
Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);

/// The examples laid end to end; positions restart with each. A completion starts at the first target.
Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices);

/// Order of `count` examples in an epoch: a function of (seed, epoch) alone, or 0, 1, 2, … without shuffling.
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled);

/// Splits off a share of the examples for evaluation, chosen by the seed; both parts keep the file's order.
/// Errors: invalid when one of the parts would be empty.
std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed);

}  // namespace lowrank
