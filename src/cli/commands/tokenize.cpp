// lowrank tokenize: the token ids of every line or row of a file, or of one text.
#include <iostream>
#include <limits>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "data/dataset.h"
#include "data/encode_conversation.h"
#include "data/sources/compression.h"
#include "session/chat_options.h"
#include "session/places.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

struct Options {
  std::string model, data, text, format;
  std::vector<std::string> columns;
  ChatOptions chat;
  bool json = false, lines = false, special = false;
};

/// A token's text in quotes, without terminal control characters.
std::string shown(const std::string& text) {
  return one_line(json_text(nlohmann::json(text)), std::string::npos);
}

void print(const Tokenizer& tokenizer, const std::vector<int64_t>& ids, const Options& options) {
  if (options.json) {
    std::cout << '[';
    for (size_t i = 0; i < ids.size(); ++i) std::cout << (i > 0 ? "," : "") << ids[i];
    std::cout << "]\n";
    return;
  }
  for (const int64_t id : ids)
    std::cout << fmt::format("{:>8}  {}\n", id, shown(tokenizer.decode({&id, 1}, false)));
}

void print_lines(const Tokenizer& tokenizer, const Options& options) {
  const MmapFile file = MmapFile::open(options.data);
  TextWindow window =
      text_of({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, options.data);
  while (std::optional<std::string_view> line = next_line(window, options.data)) {
    throw_if_interrupted();
    if (line->ends_with('\n')) line->remove_suffix(1);
    print(tokenizer, tokenizer.encode(*line, options.special), options);
  }
}

/// A row's ids as training has them.
class RowTokens {
 public:
  RowTokens(const Tokenizer& tokenizer, const Options& options)
      : tokenizer_(tokenizer), chat_(chat_format_on_demand(options.model, "", tokenizer, options.chat)) {}

  std::vector<int64_t> of(const Row& row) {
    if (row.format == RowFormat::tokenised) return row.input_ids;
    if (row.second)
      return tokenizer_.encode_pair(row.completion, *row.second, std::numeric_limits<int64_t>::max() / 2).ids;
    if (row.format == RowFormat::labelled) return tokenizer_.encode(row.completion, true);
    return row.conversation ? of_conversation(row) : encode_row(tokenizer_, row, 0, notes_).tokens;
  }

  void tell_notes() const {
    for (const std::string& warning : notes_.warnings()) warn("{}", warning);
    for (const std::string& warning : chat_notes_.warnings()) warn("{}", warning);
  }

 private:
  std::vector<int64_t> of_conversation(const Row& row) try {
    const ChatFormat& format = chat_(!row.conversation->conversation.tools.is_null());
    return encode_conversation(format, *row.conversation, TrainOn::assistant, 0, chat_notes_).tokens;
  } catch (const Error& error) {
    throw_reworded(error, fmt::format("{}: {}", row.where, error.what()));
  }

  const Tokenizer& tokenizer_;
  std::function<const ChatFormat&(bool has_tools)> chat_;
  RowNotes notes_;
  ChatNotes chat_notes_;
};

void print_rows(const Tokenizer& tokenizer, const Options& options) {
  RowTokens tokens(tokenizer, options);
  read_rows(
      options.data, {options.format, options.columns, true},
      [&](const Row& row, const nlohmann::ordered_json&) { print(tokenizer, tokens.of(row), options); });
  tokens.tell_notes();
}

int run(Arguments& arguments) {
  Options options;
  arguments.set_example("lowrank tokenize --model model.gguf --text \"some words\"");
  arguments.add({model_field(options.model), any_text(field("text", options.text, "a text")),
                 field("data", options.data,
                       "JSON lines, JSON array, CSV, TSV or Parquet; a file, a folder, or a pattern with *"),
                 field("format", options.format, row_format_help),
                 field("columns", options.columns, columns_help),
                 field("lines", options.lines, "`data` is plain text, one text per line"),
                 field("special_tokens", options.special,
                       "add the post-processor's special tokens (for `text` and `lines`)"),
                 field("json", options.json, "print one array of ids per line")});
  arguments.add(options.chat.template_fields(), "Conversations");
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--text or --data", either(options.text, options.data)}});
  check_usage(options.text.empty() != options.data.empty(), "give either --text or --data");
  const Tokenizer tokenizer = load_tokenizer(options.model);
  if (options.data.empty()) {
    print(tokenizer, tokenizer.encode(options.text, options.special), options);
  } else if (options.lines) {
    print_lines(tokenizer, options);
  } else {
    print_rows(tokenizer, options);
  }
  return 0;
}

}  // namespace

extern const CommandInfo tokenize_command;
const CommandInfo tokenize_command{"tokenize", "prints the token ids of a text or of rows", run};

}  // namespace lowrank
