#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/rng.h"
#include "base/staged_folder.h"
#include "data/encode_conversation.h"
#include "data/encode_row.h"
#include "data/examples/cache_folder.h"
#include "data/examples/example_file.h"
#include "data/row_cache.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

/// Stream of the run's seed for the split.
constexpr uint64_t split_stream = 2;

void check_ids(const Example& example, int64_t vocabulary, const std::string& where) {
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    const int64_t id = example.tokens[i];
    const int64_t label = example.label ? no_target : example.labels[i];
    check(id >= 0 && id < vocabulary && (label == no_target || (label >= 0 && label < vocabulary)),
          ErrorKind::invalid, "{}: token {} or its label {} is outside the model's vocabulary of {}", where,
          id, label, vocabulary);
  }
}

constexpr size_t most_remembered = 100;

void remember(std::vector<std::string>& rows, const std::string& where) {
  if (rows.size() < most_remembered) rows.push_back(where);
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

/// How many of the sorted indices are of each source.
std::vector<int64_t> counts_within(std::span<const int64_t> indices, std::span<const int64_t> sources) {
  std::vector<int64_t> counts;
  auto begin = indices.begin();
  int64_t end_of_source = 0;
  for (const int64_t source : sources) {
    end_of_source += source;
    const auto end = std::lower_bound(begin, indices.end(), end_of_source);
    counts.push_back(end - begin);
    begin = end;
  }
  return counts;
}

}  // namespace

OnLong on_long_named(std::string_view name) {
  if (name == "truncate") return OnLong::truncate;
  if (name == "drop") return OnLong::drop;
  if (name == "error") return OnLong::error;
  fail(ErrorKind::invalid, "`on_long` '{}' is not known; known are truncate, drop and error", name);
}

std::vector<std::string> Dataset::warnings() const {
  std::vector<std::string> sentences = notes.warnings();
  const std::vector<std::string> of_chats = chat_notes.warnings();
  sentences.insert(sentences.end(), of_chats.begin(), of_chats.end());
  return sentences;
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

Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const int64_t index : indices) {
    const Example& example = examples[index];
    const int64_t first = batch.token_count();
    for (size_t i = 0; i < example.tokens.size(); ++i) {
      batch.tokens.push_back(example.tokens[i]);
      batch.positions.push_back(static_cast<int64_t>(i));
      if (example.label || i + 1 == example.tokens.size() || example.labels[i + 1] == no_target) continue;
      batch.targets.rows.push_back(first + static_cast<int64_t>(i));
      batch.targets.tokens.push_back(example.labels[i + 1]);
      batch.targets.weights.push_back(1);
      batch.targets.examples.push_back(index);
    }
    if (example.label) {
      batch.targets.values.push_back(static_cast<float>(*example.label));
      batch.targets.classes.push_back(example.classes);
      batch.targets.weights.push_back(1);
    }
    batch.type_one_tokens.push_back(example.type_one_tokens);
    batch.offsets.push_back(batch.token_count());
    batch.examples.push_back(index);
    const auto completion =
        std::ranges::find_if(example.labels, [](int64_t label) { return label != no_target; });
    const bool labelled = example.label || example.labels.empty();
    batch.prompt_rows.push_back(labelled ? std::ssize(example.tokens) : completion - example.labels.begin());
    batch.first_labels.push_back(labelled ? no_target : example.labels.front());
  }
  return batch;
}

std::pair<Dataset, Dataset> split_dataset(Dataset dataset, double evaluation_share, uint64_t seed) {
  const auto count = static_cast<int64_t>(dataset.examples.size());
  const bool is_share = evaluation_share > 0 && evaluation_share < 1;
  const int64_t evaluated = is_share ? std::lround(evaluation_share * static_cast<double>(count)) : 0;
  check(evaluated >= 1 && evaluated < count, ErrorKind::invalid,
        "`eval_split` {} of {} rows leaves no row for {}", evaluation_share, count,
        evaluated < 1 ? "evaluation" : "training");
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  Philox random(derive_seed(seed, split_stream));
  shuffle(order, random);
  std::sort(order.begin(), order.begin() + evaluated);
  std::vector<int64_t> training;
  auto next = order.begin();
  for (int64_t i = 0; i < count; ++i) {
    const bool chosen = next != order.begin() + evaluated && *next == i;
    if (chosen)
      ++next;
    else
      training.push_back(i);
  }
  order.resize(evaluated);
  std::pair<Dataset, Dataset> parts;
  dataset.left_out = {};
  const std::vector<int64_t> of_all = dataset.sources;
  dataset.sources = counts_within(training, of_all);
  parts.second.sources = counts_within(order, of_all);
  parts.second.examples = dataset.examples.selected(std::move(order));
  dataset.examples = dataset.examples.selected(std::move(training));
  parts.first = std::move(dataset);
  return parts;
}

}  // namespace lowrank
