#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
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

/// A tokenised row. labels[i] is the token itself where it is a target, else `no_target`; the shift by one
/// position happens when batches are made, as in transformers.
struct Example {
  std::vector<int64_t> tokens, labels;
  int64_t line = 0;
  std::optional<double> label = {};  ///< of the whole row, instead of labels
  int64_t length = 0;                ///< tokens of the row before it was cut; 0: it was not
  int64_t adapter = no_adapter;      ///< as Batch::adapters

  int64_t targets() const;  ///< labels after the first, since nothing predicts the first token; or one
};

struct DatasetOptions {
  std::string format;                   ///< empty: detected
  std::vector<std::string> columns;     ///< as RowOptions
  int64_t max_length = 0;               ///< tokens a row; 0: no limit
  std::optional<LabelSet> labels = {};  ///< given: rows are labelled
  /// The number of the adapter that a row names, from its name; none: rows name none.
  std::function<int64_t(const std::string& name)> adapter_number = nullptr;
};

/// What of the rows is likely a mistake of who wrote them, counted.
struct RowNotes {
  int64_t begun = 0;   ///< rows that begin with the beginning token, which is not put there twice
  int64_t closed = 0;  ///< rows that end with an end token, behind which no second one is put
  int64_t empty = 0;   ///< completions without text, which teach the end token alone
  int64_t rows = 0;    ///< of text

  /// A sentence for each count that is not 0.
  std::vector<std::string> warnings() const;
};

struct Dataset {
  std::vector<Example> examples;
  int64_t truncated = 0;    ///< rows cut to max_length
  int64_t skipped = 0;      ///< rows left without any target, by the cut or of themselves
  int64_t cut_tokens = 0;   ///< that the cut rows had
  int64_t lost_tokens = 0;  ///< of those
  RowNotes notes;

  int64_t tokens() const;
};

/// Ids of a prompt as training sees it: the tokenizer's prefix (BOS, where it has one) and the text, which
/// may begin with that prefix already.
std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt);

/// One row: prompt and completion are tokenised apart and joined, EOS follows unless the completion ends with
/// an end token, and only completion and end are targets. A `text` row is all target. The first `max_length`
/// tokens are kept (0: all). Adds to `notes`.
Example encode_row(const Tokenizer& tokenizer, const Row& row, int64_t max_length, RowNotes& notes);

/// Cuts the ids of a whole text to `max_length`, with the tokenizer's tokens for the end in the last places.
void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer);

/// Reads and tokenises the files that `pattern` names. `tokenizer` may be null when the rows are tokenised.
/// Errors: as read_rows; invalid when no row has a target or an id is outside `vocabulary`.
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
