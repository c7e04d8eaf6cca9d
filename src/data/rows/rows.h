#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/compared/compared_row.h"
#include "data/conversations/conversation_row.h"
#include "data/rows/columns.h"
#include "data/rows/data_files.h"
#include "data/rows/ordered_work.h"

namespace lowrank {

/// How a row is laid out.
enum class RowFormat {
  prompt_completion,  ///< {"prompt", "completion"}
  text,               ///< {"text"}
  alpaca,             ///< {"instruction", "input", "output"}
  tokenised,          ///< {"input_ids", "labels"}
  labelled,           ///< {"text", "label"}, or two texts, {"sentence1", "sentence2", "label"}
  messages,           ///< {"messages"} or {"conversations"}: OpenAI's and ShareGPT's lists
  prompt_messages,    ///< {"prompt", "completion"}, both lists of messages
  pairs,              ///< {"anchor", "positive"} and perhaps negatives, whose embeddings are compared
  scores,             ///< {"sentence1", "sentence2", "score"}
  alpaca_chat,        ///< {"instruction", "input", "output", "system", "history"} as a conversation
};

/// True if rows of the format are conversations, which a model's chat template makes a text.
bool is_conversation(RowFormat format);
/// True if the texts of such rows are compared.
bool is_compared(RowFormat format);

/// A row as strings, as a conversation, or as ids if it is already tokenised.
struct Row {
  std::string where;  ///< file and line, for errors
  int64_t line = 0;   ///< counted from 1; in an array, the row's number
  bool in_array = false;
  RowFormat format = RowFormat::text;
  std::string_view format_name;       ///< as the option `format` has it
  std::string prompt;                 ///< empty for `text`
  std::string completion;             ///< the whole text for `text` and `labelled`
  std::string label;                  ///< of `labelled`; numbers and booleans as text, 1.0 as 1
  std::vector<std::string> classes;   ///< of `labelled`, if `label` is a list: its entries
  bool lists_classes = false;         ///< `label` is a list
  std::optional<std::string> second;  ///< of `labelled`: the second of two texts
  std::vector<int64_t> input_ids, labels;
  std::optional<ConversationRow> conversation;  ///< of the formats that are conversations
  std::optional<ComparedRow> compared;          ///< of the formats whose texts are compared
  std::string adapter;                          ///< the adapter that the row names; empty: none
};

/// Help texts of the two options, for commands.
inline constexpr const char* row_format_help =
    "prompt, text, messages, sharegpt, alpaca, alpaca-chat, tokenised, label, pairs or scores; empty: "
    "detected";
inline constexpr const char* columns_help =
    "names of the file's columns: prompt=NAME,completion=NAME; for tables without a header their numbers";

/// How the rows of a data set are interpreted.
struct RowOptions {
  std::string format;                ///< a name of `row_format_help`; empty: the first row decides
  std::vector<std::string> columns;  ///< `field=column`: which key or column of the file a field comes from
  bool need_completion = true;       ///< false for rows that are only prompts, or texts without a label
};

struct RowLayout;

/// Interprets rows of one layout, which the first of them decides.
class RowParser {
 public:
  /// Errors: invalid for a format that is not known, and for `columns` that name no field.
  explicit RowParser(RowOptions options);

  /// Whether the layout is known. From then on, several threads may parse rows at once.
  bool decided() const { return layout_ != nullptr; }
  /// The row with its fields interpreted. Errors: as read_rows has for single rows.
  Row parse(const DataRow& data);
  /// The columns of tables without a header, by position.
  const std::vector<std::string>& headerless() const { return columns_.headerless; }

 private:
  RowOptions options_;
  Columns columns_;
  const RowLayout* layout_ = nullptr;
};

/// The format that the first row of the files decides on or that `options` names; nothing if the row cannot
/// be read or decides on none.
std::optional<RowFormat> first_format(const std::string& pattern, const RowOptions& options);

/// The number of the adapter that a row names. Errors: as `number`, with the row's location; invalid for a
/// row that names none.
int64_t adapter_of(const std::string& adapter, const std::string& where,
                   const std::function<int64_t(const std::string& name)>& number);

/// Calls `take` with every row of the files that `pattern` names (data_files.h), in order. All rows must have
/// the first row's format, or the named one. In `columns`, a whole number names a column of a table without a
/// header by its position, from 1. The JSON is the row as it is in the file (`row_text` writes it back). Rows
/// after a bad one are still passed on, so that all errors are found. Errors: as read_data_file; invalid for
/// missing or non-string fields, fields that matter but would be dropped (row_fields.h), mixed formats,
/// `columns` that name no field, and files without rows; as read_conversation.
void read_rows(const std::string& pattern, const RowOptions& options,
               const std::function<void(Row, const nlohmann::ordered_json&)>& take);

/// The same with several threads, which read rows and call `begin`; what it returns is called on the calling
/// thread, in the order of the rows. Errors of both belong to the row.
void read_rows_apart(const std::string& pattern, const RowOptions& options, unsigned threads,
                     const std::function<OrderedWork::End(Row)>& begin);

}  // namespace lowrank
