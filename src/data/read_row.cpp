#include "data/read_row.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "data/encode_conversation.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

void check_ids(const Example& example, int64_t vocabulary, const std::string& where) {
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    const int64_t id = example.tokens[i];
    const int64_t label = example.label ? no_target : example.labels[i];
    check(id >= 0 && id < vocabulary && (label == no_target || (label >= 0 && label < vocabulary)),
          ErrorKind::invalid, "{}: token {} or its label {} is outside the model's vocabulary of {}", where,
          id, label, vocabulary);
  }
}

/// The example of an already tokenised row.
Example tokenised_example(const Row& row, int64_t max_length) {
  Example example{row.input_ids, row.labels, row.line};
  if (max_length == 0 || std::ssize(example.tokens) <= max_length) return example;
  example.length = std::ssize(example.tokens);
  example.tokens.resize(max_length);
  example.labels.resize(max_length);
  return example;
}

Example labelled_example(const Row& row, const Tokenizer& tokenizer, const DatasetOptions& options) {
  check(options.labels.has_value(), ErrorKind::invalid, "{}: labelled rows are for models with a label head",
        row.where);
  return encode_labelled(tokenizer, row, *options.labels, options.max_length);
}

/// Refuses `train_on` for rows without answers, where it would be ignored.
void check_train_on(const Row& row, TrainOn train_on) {
  const bool without = row.format == RowFormat::tokenised || row.format == RowFormat::labelled ||
                       is_compared(row.format) ||
                       (row.format == RowFormat::text && train_on == TrainOn::last);
  check(!without || train_on == TrainOn::assistant, ErrorKind::invalid,
        "{}: `train_on` is for conversations and for prompts with completions, not for rows of format {}",
        row.where, row.format_name);
}

Example compared_example(const Row& row, const Tokenizer& tokenizer, const DatasetOptions& options) {
  check(options.compared.has_value(), ErrorKind::invalid,
        "{}: rows of format {} are for embeddings (`task` embedding)", row.where, row.format_name);
  Example example =
      encode_compared(tokenizer, *row.compared, *options.compared, row.where, options.max_length);
  example.line = row.line;
  return example;
}

ReadRow conversation_example(const Row& row, const DatasetOptions& options) try {
  check(options.chat != nullptr, ErrorKind::unsupported,
        "the row is a conversation, which needs the chat template of a model");
  const ConversationRow& conversation = *row.conversation;
  const ChatFormat& format = options.chat(!conversation.conversation.tools.is_null());
  ReadRow read;
  read.chat = &format;
  read.example =
      encode_conversation(format, conversation, options.train_on, options.max_length, read.chat_notes);
  read.example.line = row.line;
  return read;
} catch (const Error& error) {
  throw_reworded(error, fmt::format("{}: {}", row.where, error.what()));
}

}  // namespace

OnLong on_long_named(std::string_view name) {
  if (name == "truncate") return OnLong::truncate;
  if (name == "drop") return OnLong::drop;
  if (name == "error") return OnLong::error;
  fail(ErrorKind::invalid, "`on_long` '{}' is not known; known are truncate, drop and error", name);
}

ReadRow read_row(const Row& row, const Tokenizer* tokenizer, int64_t vocabulary,
                 const DatasetOptions& options) {
  check(tokenizer || row.format == RowFormat::tokenised, ErrorKind::invalid, "{}: text rows need a tokenizer",
        row.where);
  check(!options.compared || row.compared, ErrorKind::invalid,
        "{}: embeddings are trained on rows of \"anchor\" and \"positive\", or of \"sentence1\", "
        "\"sentence2\" and \"score\", not on rows of format {}; `columns` anchor=NAME,positive=NAME gives "
        "others these names",
        row.where, row.format_name);
  check_train_on(row, options.train_on);
  ReadRow read;
  if (row.conversation) {
    read = conversation_example(row, options);
  } else if (row.format == RowFormat::tokenised) {
    read.example = tokenised_example(row, options.max_length);
  } else if (row.compared) {
    read.example = compared_example(row, *tokenizer, options);
  } else if (row.format == RowFormat::labelled) {
    read.example = labelled_example(row, *tokenizer, options);
  } else {
    read.example = encode_row(*tokenizer, row, options.max_length, read.notes);
    if (options.train_on == TrainOn::all) read.example.labels = read.example.tokens;
  }
  check_ids(read.example, vocabulary, row.where);
  return read;
}

bool takes_long(const Example& example, const std::string& where, const DatasetOptions& options) {
  if (example.length == 0) return true;
  check(options.on_long != OnLong::error, ErrorKind::invalid,
        "{}: the row has {} tokens, more than the limit of {}; `on_long` truncate uses the first ones, drop "
        "leaves such rows out",
        where, example.length, options.max_length);
  return options.on_long != OnLong::drop;
}

}  // namespace lowrank
