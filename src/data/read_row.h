#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat_format.h"
#include "data/compared/compared_example.h"
#include "data/conversations/targets.h"
#include "data/encode_row.h"
#include "data/examples/example.h"
#include "data/labels.h"
#include "data/rows/ordered_work.h"
#include "data/rows/rows.h"
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

/// A row as it is learned, and what was noticed in it.
struct ReadRow {
  Example example;
  RowNotes notes;
  ChatNotes chat_notes;
  const ChatFormat* chat = nullptr;  ///< of conversations
};

/// A single row. `tokenizer` may be null for one that is already tokenised. Errors: invalid if an id is
/// outside `vocabulary`, a label or text is not what the model needs, or `train_on` asks for what the rows do
/// not have; unsupported for a conversation without a chat format.
ReadRow read_row(const Row& row, const Tokenizer* tokenizer, int64_t vocabulary,
                 const DatasetOptions& options);

/// False for a row that is longer than the limit and is left out for that. Errors: invalid for such a row and
/// `on_long` error.
bool takes_long(const Example& example, const std::string& where, const DatasetOptions& options);

}  // namespace lowrank
