#include "text/dataset.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"

namespace lowrank {
namespace {

/// Streams of the run's seed, so that the split and the order of epochs are unrelated.
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

/// True when the row had to be cut to `max_length` tokens (0: none).
bool cut(Example& example, int64_t max_length, const Tokenizer* tokenizer) {
  if (max_length == 0 || static_cast<int64_t>(example.tokens.size()) <= max_length) return false;
  if (example.label) {
    cut_text(example.tokens, max_length, *tokenizer);
  } else {
    example.tokens.resize(max_length);
    example.labels.resize(max_length);
  }
  return true;
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

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt) {
  std::vector<int64_t> ids = tokenizer.spec().prefix;
  const std::vector<int64_t> text = tokenizer.encode(prompt, false);
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

Example encode_row(const Tokenizer& tokenizer, const Row& row) {
  Example example;
  example.line = row.line;
  if (row.format == RowFormat::tokenised) {
    example.tokens = row.input_ids;
    example.labels = row.labels;
    return example;
  }
  example.tokens = encode_prompt(tokenizer, row.prompt);
  const bool all = row.format == RowFormat::text;
  const size_t prompt = all ? 0 : example.tokens.size();
  const std::vector<int64_t> completion =
      all ? tokenizer.encode(row.completion, false) : tokenizer.encode_continuation(row.completion);
  example.tokens.insert(example.tokens.end(), completion.begin(), completion.end());
  if (tokenizer.spec().eos) example.tokens.push_back(*tokenizer.spec().eos);
  example.labels = example.tokens;
  std::fill_n(example.labels.begin(), prompt, no_target);
  return example;
}

Dataset load_dataset(const std::string& pattern, const Tokenizer* tokenizer, int64_t vocabulary,
                     const DatasetOptions& options) {
  Dataset dataset;
  read_rows(pattern, {options.labels ? "label" : options.format, options.columns, true},
            [&](const Row& row, const nlohmann::ordered_json&) {
              check(tokenizer || row.format == RowFormat::tokenised, ErrorKind::invalid,
                    "{}: text rows need a tokenizer", row.where);
              Example example;
              if (row.format == RowFormat::tokenised) {
                example = {row.input_ids, row.labels, row.line};
              } else if (row.format == RowFormat::labelled) {
                check(options.labels.has_value(), ErrorKind::invalid,
                      "{}: labelled rows are for models with a label head", row.where);
                example = {tokenizer->encode(row.completion, true),
                           {},
                           row.line,
                           options.labels->value_of(row.label, row.where)};
              } else {
                example = encode_row(*tokenizer, row);
              }
              check_ids(example, vocabulary, row.where);
              if (cut(example, options.max_length, tokenizer)) ++dataset.truncated;
              if (example.targets() == 0) {
                ++dataset.skipped;
              } else {
                dataset.examples.push_back(std::move(example));
              }
            });
  check(!dataset.examples.empty(), ErrorKind::invalid, "{}: none of the {} rows has a target token{}",
        pattern, dataset.skipped, dataset.truncated > 0 ? " (--max-length cuts the completions off)" : "");
  return dataset;
}

Batch make_batch(std::span<const Example> examples, std::span<const int64_t> indices) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const int64_t index : indices) {
    const Example& example = examples[index];
    const int64_t first = batch.rows();
    for (size_t i = 0; i < example.tokens.size(); ++i) {
      batch.tokens.push_back(example.tokens[i]);
      batch.positions.push_back(static_cast<int64_t>(i));
      if (example.label || i + 1 == example.tokens.size() || example.labels[i + 1] == no_target) continue;
      batch.targets.rows.push_back(first + static_cast<int64_t>(i));
      batch.targets.tokens.push_back(example.labels[i + 1]);
      batch.targets.weights.push_back(1);
    }
    if (example.label) {
      batch.targets.values.push_back(static_cast<float>(*example.label));
      batch.targets.weights.push_back(1);
    }
    batch.offsets.push_back(batch.rows());
    batch.examples.push_back(index);
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
        "--eval-split {} of {} rows leaves no row for {}", evaluation_share, count,
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
  parts.first.truncated = dataset.truncated;
  parts.first.skipped = dataset.skipped;
  return parts;
}

}  // namespace lowrank
