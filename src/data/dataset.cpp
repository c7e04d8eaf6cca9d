#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace lowrank {
namespace {

/// Streams of the run's seed, so that the split and the order of epochs are independent.
constexpr uint64_t order_stream = 1;
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

bool begins_with(const std::vector<int64_t>& ids, const std::vector<int64_t>& prefix) {
  return ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
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
  const TokenizerSpec& spec = tokenizer.spec();
  const int64_t most = options.max_length > 0 ? options.max_length : std::numeric_limits<int64_t>::max();
  TokenSink text(most);
  tokenizer.encode(row.completion, false, text);
  const int64_t length = text.count() + std::ssize(spec.prefix) + std::ssize(spec.suffix);
  text.ids.insert(text.ids.begin(), spec.prefix.begin(), spec.prefix.end());
  text.ids.insert(text.ids.end(), spec.suffix.begin(), spec.suffix.end());
  cut_text(text.ids, most, tokenizer);
  Example example{std::move(text.ids), {}, row.line, options.labels->value_of(row.label, row.where)};
  if (length > most) example.length = length;
  return example;
}

/// `tokenizer` may be null for rows that are already tokenised.
Example example_of(const Row& row, const Tokenizer* tokenizer, const DatasetOptions& options,
                   RowNotes& notes) {
  if (row.format == RowFormat::tokenised) return tokenised_example(row, options.max_length);
  if (row.format == RowFormat::labelled) return labelled_example(row, *tokenizer, options);
  return encode_row(*tokenizer, row, options.max_length, notes);
}

}  // namespace

void cut_text(std::vector<int64_t>& tokens, int64_t max_length, const Tokenizer& tokenizer) {
  const std::vector<int64_t>& end = tokenizer.spec().suffix;
  if (static_cast<int64_t>(tokens.size()) <= max_length) return;
  tokens.resize(std::max<int64_t>(0, max_length - std::ssize(end)));
  tokens.insert(tokens.end(), end.begin(), end.end());
}

int64_t Example::targets() const {
  if (label) return 1;
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + 1, labels.end(), [](int64_t label) { return label != no_target; });
}

int64_t Dataset::tokens() const {
  return std::accumulate(
      examples.begin(), examples.end(), int64_t{0},
      [](int64_t sum, const Example& example) { return sum + static_cast<int64_t>(example.tokens.size()); });
}

std::vector<std::string> RowNotes::warnings() const {
  std::vector<std::string> sentences;
  const auto add = [&](int64_t count, std::string_view what) {
    if (count > 0) sentences.push_back(fmt::format("{} of {} rows {}", count, rows, what));
  };
  add(begun, "begin with the beginning token already; no second one is put in front");
  add(closed, "end with an end token already; no second one is put behind");
  add(empty, "have an empty completion and teach the end token alone");
  return sentences;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt) {
  std::vector<int64_t> text = tokenizer.encode(prompt, false);
  const std::vector<int64_t>& prefix = tokenizer.spec().prefix;
  if (!begins_with(text, prefix)) text.insert(text.begin(), prefix.begin(), prefix.end());
  return text;
}

Example encode_row(const Tokenizer& tokenizer, const Row& row, int64_t max_length, RowNotes& notes) {
  const std::vector<int64_t>& prefix = tokenizer.spec().prefix;
  const bool all = row.format == RowFormat::text;
  const int64_t most = max_length > 0 ? max_length : std::numeric_limits<int64_t>::max() / 2;
  TokenSink text(most + std::ssize(prefix));  // room for a prefix in the text itself
  tokenizer.encode(row.prompt, false, text);
  int64_t prompt = text.count();
  tokenizer.encode(row.completion, !all, text);
  ++notes.rows;
  if (row.completion.empty() && !all) ++notes.empty;
  const bool closed = tokenizer.ends_closed(row.completion);
  const std::optional<int64_t>& eos = tokenizer.spec().eos;
  if (closed && eos) ++notes.closed;
  if (eos && !closed) text.push(*eos);
  int64_t length = text.count();
  const bool begun = !prefix.empty() && begins_with(text.ids, prefix);
  if (begun) ++notes.begun;
  Example example;
  example.line = row.line;
  example.tokens = std::move(text.ids);
  if (!begun) {
    example.tokens.insert(example.tokens.begin(), prefix.begin(), prefix.end());
    length += std::ssize(prefix);
    prompt += std::ssize(prefix);
  }
  if (length > most) example.length = length;
  if (std::ssize(example.tokens) > most) example.tokens.resize(most);
  example.labels = example.tokens;
  if (!all) std::fill_n(example.labels.begin(), std::min(prompt, std::ssize(example.labels)), no_target);
  return example;
}

Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options) {
  Dataset dataset;
  read_rows(pattern, {options.labels ? "label" : options.format, options.columns, true},
            [&](const Row& row, const nlohmann::ordered_json&) {
              check(tokenizer || row.format == RowFormat::tokenised, ErrorKind::invalid,
                    "{}: text rows need a tokenizer", row.where);
              Example example = example_of(row, tokenizer, options, dataset.notes);
              check_ids(example, vocabulary, row.where);
              if (options.adapter_number)
                example.adapter = adapter_of(row.adapter, row.where, options.adapter_number);
              if (example.length > 0) {
                ++dataset.truncated;
                remember(dataset.truncated_rows, row.where);
                dataset.cut_tokens += example.length;
                dataset.lost_tokens += example.length - std::ssize(example.tokens);
              }
              if (example.targets() == 0) {
                ++dataset.skipped;
                remember(dataset.skipped_rows, row.where);
              } else {
                dataset.examples.push_back(std::move(example));
              }
            });
  check(!dataset.examples.empty(), ErrorKind::invalid, "{}: none of the {} rows has a target token{}",
        pattern, dataset.skipped, dataset.truncated > 0 ? " (`max_length` cuts the completions off)" : "");
  return dataset;
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
      batch.targets.weights.push_back(1);
    }
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

std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch, bool shuffled) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (!shuffled) return order;
  Philox random(derive_seed(seed, order_stream), static_cast<uint64_t>(epoch));
  shuffle(order, random);
  return order;
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
  std::pair<Dataset, Dataset> parts;
  auto next = order.begin();
  for (int64_t i = 0; i < count; ++i) {
    const bool chosen = next != order.begin() + evaluated && *next == i;
    if (chosen) ++next;
    (chosen ? parts.second : parts.first).examples.push_back(std::move(dataset.examples[i]));
  }
  dataset.examples = std::move(parts.first.examples);
  parts.first = std::move(dataset);
  return parts;
}

}  // namespace lowrank
