#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/chat_format.h"
#include "data/compared/compared_example.h"
#include "data/conversations/targets.h"
#include "data/encode_row.h"
#include "data/examples/example_store.h"
#include "data/labels.h"
#include "data/order/epoch_order.h"
#include "data/order/left_out_rows.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

/// What happens to a row with more than `max_length` tokens.
enum class OnLong {
  truncate,  ///< its first tokens are used
  drop,      ///< it is left out
  error,     ///< the data set is refused
};

/// Help text of the option, for commands.
inline constexpr const char* on_long_help =
    "what happens to longer examples: truncate (the first tokens are used), drop or error";

/// The value with this name. Errors: invalid for another name.
OnLong on_long_named(std::string_view name);

struct DatasetOptions {
  std::string format;                ///< empty: detected
  std::vector<std::string> columns;  ///< as in RowOptions
  int64_t max_length = 0;            ///< tokens per example; 0: no limit
  OnLong on_long = OnLong::truncate;
  TrainOn train_on = TrainOn::assistant;
  std::optional<LabelSet> labels = {};  ///< if set, rows are labelled
  /// If set, the texts of rows are compared, with these prompts in front; `max_length` is then that of a
  /// text.
  std::optional<TextPrompts> compared = {};
  /// The model's chat format, for rows that are conversations, with tools or without; null: refuses them.
  /// Called on several threads at once.
  std::function<const ChatFormat&(bool has_tools)> chat = nullptr;
  /// Maps the adapter name in a row to its number; null: rows name no adapters.
  std::function<int64_t(const std::string& name)> adapter_number = nullptr;
  /// Folder in which the examples of large files are kept for later runs, mapped instead of in memory; empty:
  /// none.
  std::filesystem::path cache = {};
  uint64_t cache_from_bytes = 16 << 20;  ///< of the files together
  unsigned threads = reading_threads();  ///< that read rows, beside the calling one; the result is the same
};

struct Dataset {
  ExampleStore examples;
  std::vector<int64_t> sources;  ///< how many of the examples are of each pattern, in order
  LeftOutRows left_out;          ///< the skipped and dropped rows; none in parts of a data set
  int64_t truncated = 0;         ///< rows cut to max_length, still with targets
  int64_t dropped = 0;           ///< rows longer than max_length that are left out
  int64_t skipped = 0;           ///< rows without any target, because of the cut or from the start
  int64_t cut_off = 0;           ///< of the skipped ones, those longer than max_length
  int64_t cut_tokens = 0;        ///< of the cut rows, before the cut
  int64_t lost_tokens = 0;       ///< of these, how many were cut off
  std::vector<std::string> truncated_rows, dropped_rows,
      skipped_rows;  ///< file and line of the first hundred of each
  RowNotes notes;
  ChatNotes chat_notes;        ///< of rows that are conversations
  std::string format;          ///< of the rows, as the option `format` names it; of the first conversations
  bool conversations = false;  ///< there are rows that are conversations
  bool in_array = false;       ///< there are elements of arrays: `Example::line` is their number
  /// Of the first conversation: the source of its chat template, and what ends an answer beside the
  /// tokenizer's end tokens.
  std::string chat_template;
  std::vector<int64_t> end_tokens;

  int64_t tokens() const { return examples.token_count(); }
  /// Likely mistakes in the rows, a sentence for each.
  std::vector<std::string> warnings() const;
};

/// A row as it is learned, and what was noticed in it.
struct ReadRow {
  Example example;
  RowNotes notes;
  ChatNotes chat_notes;
  const ChatFormat* chat = nullptr;  ///< of conversations
};

/// A single row. `tokenizer` may be null for one that is already tokenised. Errors: as load_dataset.
ReadRow read_row(const Row& row, const Tokenizer* tokenizer, int64_t vocabulary,
                 const DatasetOptions& options);

/// False for a row that is longer than the limit and is left out for that. Errors: invalid for such a row and
/// `on_long` error.
bool takes_long(const Example& example, const std::string& where, const DatasetOptions& options);

/// Reads and tokenises the files that the patterns name, or takes what an earlier run made of them from the
/// cache, which says the same. The rows of each pattern have one format. `tokenizer` may be null if the rows
/// are already tokenised. Errors: as read_rows; invalid if no row of a pattern has a target (one is shown),
/// an id is outside `vocabulary`, a row is too long for `on_long` error, or `train_on` asks for what the rows
/// do not have.
Dataset load_dataset(std::span<const std::string> patterns, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);
Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options);

/// The examples laid end to end; positions restart with each. A completion starts at the first target.
Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices);

/// Splits off a share of the examples for evaluation, chosen by the seed; both parts keep the file's order.
/// Errors: invalid when one of the parts would be empty.
std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed);

}  // namespace lowrank
