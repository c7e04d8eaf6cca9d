// lowrank score: how close predicted texts, labels or numbers are to their references.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mmap_file.h"
#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "data/rows/data_files.h"
#include "data/sources/compression.h"
#include "data/sources/file_kind.h"
#include "metrics/registry.h"
#include "study/benchmark/benchmark.h"
#include "study/benchmark/description.h"

namespace lowrank {
namespace {

using metrics::MetricInfo;
using metrics::MetricInput;
using metrics::References;

struct Options {
  std::string predictions, references, prediction_key, reference_key, benchmark;
  std::vector<std::string> metric;
  bool blocks = false, json = false;
};

/// A value of a row as a text to compare: labels and numbers may be JSON's.
std::string text_of_value(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : row_text(value);
}

/// The texts of each row of data files: the value of the first of `keys` that it has, a text or a list of
/// them.
std::vector<References> texts_of_rows(const std::string& pattern, const std::vector<std::string>& keys) {
  std::vector<References> texts;
  const auto take = [&](const DataRow& row) {
    for (const std::string& key : keys) {
      const auto value = row.fields.find(key);
      if (value == row.fields.end()) continue;
      check(!value->is_null(), ErrorKind::invalid, "{}: \"{}\" is null", row.where, key);
      texts.emplace_back();
      if (!value->is_array()) {
        texts.back().push_back(text_of_value(*value));
        return;
      }
      for (const auto& one : *value) texts.back().push_back(text_of_value(one));
      return;
    }
    fail(ErrorKind::invalid, "{}: the row has no key {}", row.where, fmt::join(keys, " or "));
  };
  for (const auto& file : data_files(pattern)) read_data_file(file, {}, take);
  return texts;
}

std::vector<std::string> lines_of(const std::string& path) {
  const MmapFile file = MmapFile::open(path);
  TextWindow window =
      text_of({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path);
  std::vector<std::string> lines;
  while (std::optional<std::string_view> line = next_line(window, path)) {
    if (line->ends_with('\n')) line->remove_suffix(1);
    if (line->ends_with('\r')) line->remove_suffix(1);
    lines.emplace_back(*line);
  }
  return lines;
}

/// Lists of lines, each ended by an empty line or the file's end.
std::vector<References> blocks_of(const std::vector<std::string>& lines) {
  std::vector<References> blocks;
  bool inside = false;
  for (const std::string& line : lines) {
    if (!line.empty()) {
      if (!inside) blocks.emplace_back();
      blocks.back().push_back(line);
    }
    inside = !line.empty();
  }
  return blocks;
}

bool holds_rows(const std::string& path) {
  return std::filesystem::is_directory(path) || path.find('*') != std::string::npos || has_data_ending(path);
}

std::vector<References> texts_of_file(const std::string& path, const std::vector<std::string>& keys,
                                      bool blocks) {
  if (holds_rows(path)) return texts_of_rows(path, keys);
  const std::vector<std::string> lines = lines_of(path);
  if (blocks) return blocks_of(lines);
  std::vector<References> texts;
  texts.reserve(lines.size());
  for (const std::string& line : lines) texts.push_back({line});
  return texts;
}

/// The only text of each list. Errors: invalid when a list has another number of them.
std::vector<std::string> single_texts(const std::vector<References>& lists, std::string_view what) {
  std::vector<std::string> texts;
  for (const References& list : lists) {
    check(list.size() == 1, ErrorKind::invalid, "text {} has {} {}, where there must be one",
          texts.size() + 1, list.size(), what);
    texts.push_back(list[0]);
  }
  return texts;
}

std::vector<double> numbers_of(const std::vector<std::string>& texts, const std::string& file) {
  std::vector<double> numbers;
  for (const std::string& text : texts) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    check(error == std::errc() && end == text.data() + text.size(), ErrorKind::invalid,
          "{}: {}, text {}, is not a number", file, in_quotes(text), numbers.size() + 1);
    numbers.push_back(number);
  }
  return numbers;
}

bool is_whole_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// The predicted labels in the references' form: where those are all numbers, Hugging Face's `LABEL_1` of
/// classes without names is 1. Warns if no label of one side occurs on the other.
std::vector<std::string> comparable_labels(std::vector<std::string> predictions,
                                           const std::vector<std::string>& references) {
  constexpr std::string_view unnamed = "LABEL_";
  const auto is_unnamed = [&](const std::string& label) {
    return label.starts_with(unnamed) && is_whole_number(std::string_view(label).substr(unnamed.size()));
  };
  if (std::ranges::all_of(references, is_whole_number) && std::ranges::all_of(predictions, is_unnamed)) {
    for (std::string& label : predictions) label.erase(0, unnamed.size());
  }
  const std::set<std::string> known(references.begin(), references.end());
  const bool meet =
      std::ranges::any_of(predictions, [&](const auto& label) { return known.contains(label); });
  if (!meet && !predictions.empty())
    warn("no predicted label is one of the references': {} and {}, for example; are they named alike?",
         in_quotes(predictions.front()), in_quotes(references.front()));
  return predictions;
}

metrics::Scored score(const MetricInfo& metric, const std::vector<std::string>& predictions,
                      const std::vector<References>& references, const Options& options) {
  if (metric.input == MetricInput::texts) return metric.of_texts(predictions, references);
  const std::vector<std::string> labels = single_texts(references, "references");
  if (metric.input == MetricInput::labels)
    return {metric.of_labels(comparable_labels(predictions, labels), labels), {}};
  const std::string& file = options.references.empty() ? options.predictions : options.references;
  return {metric.of_numbers(numbers_of(predictions, options.predictions), numbers_of(labels, file)), {}};
}

std::string all_names() {
  std::vector<std::string_view> names;
  for (const MetricInfo& metric : metrics::all_metrics()) names.push_back(metric.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Keys that a row may have, or the one that the user named.
std::vector<std::string> keys_or(const std::string& named, std::vector<std::string> keys) {
  return named.empty() ? std::move(keys) : std::vector<std::string>{named};
}

/// How the answers to a benchmark are scored: a folder that `lowrank benchmark` wrote, or a benchmark's name.
BenchmarkScoring scoring_of(const std::string& benchmark) {
  const DescribedBenchmark described = is_prepared(benchmark)
                                           ? read_description(benchmark)
                                           : DescribedBenchmark{benchmark, nlohmann::ordered_json::object()};
  BenchmarkScoring scoring = benchmark_of_name(described.benchmark).scoring(described.options);
  check(scoring.answer != Answer::loss, ErrorKind::invalid,
        "the benchmark {} is scored by the loss, which `lowrank evaluate` computes", described.benchmark);
  return scoring;
}

void extract(std::vector<std::string>& texts, const BenchmarkScoring& scoring) {
  if (!scoring.extract) return;
  for (std::string& text : texts) text = scoring.extract(text);
}

void add_fields(Arguments& arguments, Options& options) {
  arguments.set_example("lowrank score --predictions generated.jsonl --metric bleu,rouge_l");
  arguments.add(
      {field("predictions", options.predictions,
             "one text a line, or data files of rows (JSON lines, CSV, ...), such as those that "
             "`generate` writes"),
       field("references", options.references,
             "the same with a text, or in rows a list of texts, for each prediction; empty: they are in "
             "the rows of `predictions`"),
       field("metric", options.metric, "one or several of " + all_names()),
       field("benchmark", options.benchmark,
             "scores answers to a benchmark as it does: a folder that `lowrank benchmark` wrote, or a "
             "benchmark's name; empty: texts as they are"),
       field("prediction_key", options.prediction_key,
             "the predictions' key in rows; empty: generated, prediction or predicted_label (with "
             "`references` also label "
             "or completion)"),
       field("reference_key", options.reference_key,
             "the references' key in rows; empty: references, reference, completion or label"),
       field("blocks", options.blocks,
             "the references of a text are lines of their own, with an empty line behind the last"),
       field("json", options.json, "the result as JSON on standard output")});
}

int run(Arguments& arguments) {
  Options options;
  add_fields(arguments, options);
  if (!arguments.parse()) return 0;
  require({{"--predictions", &options.predictions}});
  std::optional<BenchmarkScoring> benchmark;
  if (!options.benchmark.empty()) {
    benchmark = scoring_of(options.benchmark);
    if (options.metric.empty()) options.metric = benchmark->metrics;
  }
  check_usage(!options.metric.empty(), "--metric is missing: give one or several of {}", all_names());
  std::vector<const MetricInfo*> chosen;
  for (const std::string& name : options.metric) chosen.push_back(&metrics::metric_of_name(name));
  const std::string& reference_file = options.references.empty() ? options.predictions : options.references;
  check_usage(!options.references.empty() || holds_rows(options.predictions),
              "--references is missing: {} has lines of text, which hold no references", options.predictions);
  std::vector<std::string> prediction_keys{"generated", "prediction", "predicted_label"};
  // Beside references of the same file, a label would be its own prediction.
  if (!options.references.empty()) prediction_keys.insert(prediction_keys.end(), {"label", "completion"});
  std::vector<std::string> predictions = single_texts(
      texts_of_file(options.predictions, keys_or(options.prediction_key, prediction_keys), false),
      "predictions");
  std::vector<References> references = texts_of_file(
      reference_file, keys_or(options.reference_key, {"references", "reference", "completion", "label"}),
      options.blocks);
  if (benchmark) {
    extract(predictions, *benchmark);
    for (References& of_text : references) extract(of_text, *benchmark);
  }
  nlohmann::ordered_json out{{"texts", predictions.size()}};
  std::string lines;
  for (const MetricInfo* metric : chosen) {
    const metrics::Scored scored = score(*metric, predictions, references, options);
    out["scores"][std::string(metric->name)] = scored.score;
    if (!scored.signature.empty()) out["signatures"][std::string(metric->name)] = scored.signature;
    lines += fmt::format("{} {:.4f}{}{}\n", metric->name, scored.score, scored.signature.empty() ? "" : "  ",
                         scored.signature);
  }
  std::cout << (options.json ? out.dump() + "\n" : lines);
  return 0;
}

}  // namespace

extern const CommandInfo score_command;
const CommandInfo score_command{
    "score", "scores texts, labels or numbers against references: BLEU, NIST, ROUGE-L, CIDEr, TER, F1, ...",
    run};

}  // namespace lowrank
