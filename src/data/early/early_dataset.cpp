#include "data/early/early_dataset.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sys/resource.h>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/row_cache.h"
#include "data/rows/data_files.h"

namespace lowrank {
namespace {

/// Makes the calling thread, and those that it starts, yield a little to others. Much less time for them
/// would keep the end of a run on a busy machine waiting.
void step_back() {
  constexpr int niceness = 2;
  ::setpriority(PRIO_PROCESS, 0, niceness);
}

bool in_cache(const RowCache& cache) {
  std::error_code ignored;
  return std::filesystem::exists(cache.path(), ignored);
}

}  // namespace

EarlyDataset::EarlyDataset(std::vector<std::string> patterns, std::shared_ptr<const Tokenizer> tokenizer,
                           int64_t vocabulary, DatasetOptions options)
    : patterns_(std::move(patterns)),
      tokenizer_(std::move(tokenizer)),
      vocabulary_(vocabulary),
      options_(std::move(options)) {
  options_.threads /= 2;  // training has threads, too
}

std::shared_ptr<EarlyDataset> EarlyDataset::start(std::vector<std::string> patterns,
                                                  std::shared_ptr<const Tokenizer> tokenizer,
                                                  int64_t vocabulary, DatasetOptions options,
                                                  int64_t first_examples) {
  if (options.labels || options.compared || options.adapter_number) return nullptr;
  try {
    const std::optional<RowCache> cache = RowCache::of(patterns, tokenizer.get(), vocabulary, options);
    if (!cache || in_cache(*cache)) return nullptr;
    std::shared_ptr<EarlyDataset> early(
        new EarlyDataset(std::move(patterns), std::move(tokenizer), vocabulary, std::move(options)));
    if (!early->index_files() || !early->begin(first_examples)) return nullptr;
    early->loading_ = std::jthread([&of = *early](const std::stop_token& stop) { of.load(stop); });
    return early;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    return nullptr;  // load_dataset says what is wrong, with what is wrong elsewhere
  }
}

bool EarlyDataset::index_files() {
  for (const std::string& pattern : patterns_) {
    parsers_.push_back(std::make_unique<RowParser>(RowOptions{options_.format, options_.columns, true}));
    for (const std::filesystem::path& path : data_files(pattern)) {
      std::optional<LineIndex> lines = LineIndex::of(path);
      if (!lines || lines->rows() == 0) return false;
      const int64_t first = rows_;
      rows_ += lines->rows();
      files_.push_back({std::move(*lines), first, parsers_.back().get()});
    }
  }
  return rows_ > 0;
}

void EarlyDataset::load(const std::stop_token& stop) {
  const StopScope scope(stop);
  step_back();
  std::optional<Dataset> loaded;
  std::exception_ptr error;
  try {
    loaded = load_dataset(patterns_, tokenizer_.get(), vocabulary_, options_);
    for (const File& file : files_) file.lines.check_unchanged();
    check(std::ssize(loaded->examples) + loaded->left_out.count() == rows_, ErrorKind::io,
          "{}: was written to while it was read", fmt::join(patterns_, ", "));
  } catch (...) {
    error = std::current_exception();
  }
  const std::scoped_lock lock(mutex_);
  error_ = error;
  if (!error) {
    whole_ = WeightedExamples(loaded->examples);
    whole_.left_out = loaded->left_out;
    dataset_ = std::move(loaded);
  }
  done_ = true;
  ended_.notify_all();
}

Row EarlyDataset::parsed(int64_t row) const {
  const auto after = std::ranges::upper_bound(files_, row, {}, &File::first_row);
  const File& file = *(after - 1);
  const LineIndex::Line line = file.lines.line(row - file.first_row);
  const std::string where = fmt::format("{}:{}", file.lines.file(), line.number);
  return file.parser->parse(json_row(line.text, where, line.number));
}

std::optional<Example> EarlyDataset::example(int64_t row) {
  const Row fields = parsed(row);
  ReadRow found = read_row(fields, tokenizer_.get(), vocabulary_, options_);
  const bool kept = takes_long(found.example, fields.where, options_) && found.example.targets() > 0;
  return kept ? std::optional(std::move(found.example)) : std::nullopt;
}

bool EarlyDataset::begin(int64_t count) {
  // Files of rows that are mostly left out are not worth a search.
  constexpr int64_t most_more = 1000;
  const Row first = parsed(0);
  const ReadRow read = read_row(first, tokenizer_.get(), vocabulary_, options_);
  beginning_.format = first.format_name;
  beginning_.conversations = is_conversation(first.format);
  if (read.chat) {
    beginning_.chat_template = read.chat->chat_template().source();
    beginning_.end_tokens = read.chat->end_tokens();
  }
  std::vector<Example> examples;
  for (int64_t row = 0; row < std::min(rows_, count + most_more) && std::ssize(examples) < count; ++row) {
    if (std::optional<Example> found = example(row)) examples.push_back(std::move(*found));
  }
  beginning_.examples = examples;
  // The first row of a pattern decides on the layout of its others.
  for (const File& file : files_) {
    if (!file.parser->decided()) example(file.first_row);
  }
  return !examples.empty();
}

const WeightedExamples* EarlyDataset::ended_with() const {
  if (!done_) return nullptr;
  if (error_) std::rethrow_exception(error_);
  return &whole_;
}

const WeightedExamples* EarlyDataset::whole() try {
  const std::scoped_lock lock(mutex_);
  return ended_with();
} catch (const Error& error) {
  if (error.kind() != ErrorKind::interrupted) throw;
  return nullptr;
}

const WeightedExamples& EarlyDataset::wait() {
  constexpr auto between_looks = std::chrono::milliseconds(50);
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, between_looks, [this] { return done_; })) throw_if_interrupted();
  return *ended_with();
}

}  // namespace lowrank
