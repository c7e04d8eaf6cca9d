#include "data/dataset.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "data/examples/cache_folder.h"
#include "data/examples/example_file.h"
#include "data/row_cache.h"

namespace lowrank {
namespace {

constexpr size_t most_remembered = 100;

void remember(std::vector<std::string>& rows, const std::string& where) {
  if (rows.size() < most_remembered) rows.push_back(where);
}

bool has_answer(const Conversation& conversation) {
  return std::ranges::any_of(conversation.messages, [](const nlohmann::ordered_json& message) {
    return message.value("role", nlohmann::ordered_json()) == "assistant";
  });
}

/// Where a row is and what else a data set notes of it.
struct RowPlace {
  std::string where, adapter;
  std::string_view format_name;
  bool conversation = false, in_array = false;
  bool without_answer = false;  ///< a conversation in which the assistant says nothing
};

/// Makes a data set of rows.
class DatasetReader {
 public:
  DatasetReader(const Tokenizer* tokenizer, int64_t vocabulary, const DatasetOptions& options)
      : tokenizer_(tokenizer), vocabulary_(vocabulary), options_(options) {}

  /// Examples go into this file instead of memory.
  void write_to(ExampleFileWriter& file) { file_ = &file; }

  /// Reads all rows of the pattern.
  void read(const std::string& pattern) {
    const int64_t skipped = dataset_.skipped, dropped = dataset_.dropped, cut_off = dataset_.cut_off;
    const int64_t taken = taken_;
    first_skipped_.clear();
    read_rows_apart(pattern, {options_.labels ? "label" : options_.format, options_.columns, true},
                    options_.threads, [&](Row row) { return begin(std::move(row)); });
    const int64_t without = dataset_.skipped - skipped, rows = without + dataset_.dropped - dropped;
    check(taken_ > taken || without == 0, ErrorKind::invalid, "{}: {} a target token{}{}{}", pattern,
          rows == 1 ? "the only row does not have" : fmt::format("none of the {} rows has", rows),
          dataset_.cut_off > cut_off ? " (`max_length` cuts the completions off)" : "",
          rows == 1 ? "; that row" : "; the first one", first_skipped_);
    check(taken_ > taken, ErrorKind::invalid,
          "{}: all {} rows have more than {} tokens, and `on_long` drop leaves them out", pattern, rows,
          options_.max_length);
    dataset_.sources.push_back(taken_ - taken);
  }

  /// The data set, without its examples if they went to a file.
  Dataset finish() {
    dataset_.examples = ExampleStore(std::move(examples_));
    return std::move(dataset_);
  }

 private:
  /// What adds the row; called on any thread.
  OrderedWork::End begin(Row row) {
    ReadRow read = read_row(row, tokenizer_, vocabulary_, options_);
    const bool without_answer = row.conversation && !has_answer(row.conversation->conversation);
    RowPlace place{std::move(row.where),        std::move(row.adapter), row.format_name,
                   is_conversation(row.format), row.in_array,           without_answer};
    return [this, read = std::move(read), place = std::move(place)]() mutable { add(read, place); };
  }

  void add(ReadRow& read, const RowPlace& row) {
    Example& example = read.example;
    const int64_t number = rows_++;
    dataset_.notes.add(read.notes);
    dataset_.chat_notes.add(read.chat_notes);
    if (read.chat && dataset_.chat_template.empty()) {
      dataset_.chat_template = read.chat->chat_template().source();
      dataset_.end_tokens = read.chat->end_tokens();
    }
    if (options_.adapter_number)
      example.adapter = adapter_of(row.adapter, row.where, options_.adapter_number);
    if (dataset_.format.empty() || (row.conversation && !dataset_.conversations))
      dataset_.format = row.format_name;
    dataset_.conversations |= row.conversation;
    dataset_.in_array |= row.in_array;
    const bool cut = example.length > 0;
    if (!takes_long(example, row.where, options_)) return drop(number, row);
    if (example.targets() > 0) {
      ++taken_;
      if (cut) note_cut(example, row);
      file_ ? file_->append(example) : examples_->append(packed(example));
      return;
    }
    dataset_.left_out.add(number);
    remember(dataset_.skipped_rows, row.where);
    if (cut) ++dataset_.cut_off;
    ++dataset_.skipped;
    if (first_skipped_.empty())
      first_skipped_ =
          fmt::format(", {}, {}{}", row.where,
                      row.without_answer ? "has no message of the assistant and " : "", shown(example));
  }

  void drop(int64_t number, const RowPlace& row) {
    dataset_.left_out.add(number);
    ++dataset_.dropped;
    remember(dataset_.dropped_rows, row.where);
  }

  void note_cut(const Example& example, const RowPlace& row) {
    ++dataset_.truncated;
    remember(dataset_.truncated_rows, row.where);
    dataset_.cut_tokens += example.length;
    dataset_.lost_tokens += example.length - std::ssize(example.tokens);
  }

  std::string shown(const Example& example) const {
    if (example.tokens.empty()) return "is empty";
    if (!tokenizer_)
      return fmt::format("has the ids {}", one_line(fmt::format("{}", fmt::join(example.tokens, " "))));
    std::string text = in_quotes(tokenizer_->decode(example.tokens, false), 300);
    // A text's own backslashes are escaped, so that this is a line's end.
    constexpr std::string_view line_end = "\\x0a";
    for (size_t at = 0; (at = text.find(line_end, at)) != std::string::npos; at += 2)
      text.replace(at, line_end.size(), "\\n");
    return fmt::format("reads {}", text);
  }

  const Tokenizer* tokenizer_;
  int64_t vocabulary_;
  const DatasetOptions& options_;
  Dataset dataset_;
  std::shared_ptr<ExamplesInMemory> examples_ = std::make_shared<ExamplesInMemory>();
  ExampleFileWriter* file_ = nullptr;
  int64_t rows_ = 0, taken_ = 0;
  std::string first_skipped_;  ///< of the pattern
};

/// Most bytes that the folder of a cache takes.
constexpr uint64_t most_cached = uint64_t{20} << 30;

/// Reads the rows into the file of the cache. Nothing if it cannot be written, which is said.
std::optional<Dataset> load_into(const RowCache& cache, std::span<const std::string> patterns,
                                 const Tokenizer* tokenizer, int64_t vocabulary,
                                 const DatasetOptions& options) {
  std::optional<ExampleFileWriter> file;
  try {
    make_folders(options.cache);
    file.emplace(cache.path());
    DatasetReader reader(tokenizer, vocabulary, options);
    reader.write_to(*file);
    for (const std::string& pattern : patterns) reader.read(pattern);
    Dataset dataset = reader.finish();
    const std::optional<RowCache> now = RowCache::of(patterns, tokenizer, vocabulary, options);
    check(now && now->key() == cache.key(), ErrorKind::io, "{}: was written to while it was read",
          fmt::join(patterns, ", "));
    file->commit(cache.key(), facts_of(dataset));
    tidy_cache_folder(options.cache, cache.path(), most_cached);
    info("{}: keeps the tokenised rows for later runs", cache.path().string());
    dataset.examples = ExampleStore(MappedExamples::open(cache.path(), cache.key(), vocabulary));
    return dataset;
  } catch (const Error& error) {
    if (file && !file->failed()) throw;
    warn("{}; the rows are kept in memory (`cache` names another folder, or none)", error.what());
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> Dataset::warnings() const {
  std::vector<std::string> sentences = notes.warnings();
  const std::vector<std::string> of_chats = chat_notes.warnings();
  sentences.insert(sentences.end(), of_chats.begin(), of_chats.end());
  return sentences;
}

Dataset load_dataset(std::span<const std::string> patterns, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options) {
  if (const auto cache = RowCache::of(patterns, tokenizer, vocabulary, options)) {
    if (std::optional<Dataset> found = cache->find()) return std::move(*found);
    std::optional<Dataset> loaded = load_into(*cache, patterns, tokenizer, vocabulary, options);
    if (loaded) return std::move(*loaded);
  }
  DatasetReader reader(tokenizer, vocabulary, options);
  for (const std::string& pattern : patterns) reader.read(pattern);
  return reader.finish();
}

Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options) {
  return load_dataset(std::span(&pattern, 1), tokenizer, vocabulary, options);
}

}  // namespace lowrank
