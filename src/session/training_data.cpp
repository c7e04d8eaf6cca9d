#include "session/training_data.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "data/examples/cache_folder.h"
#include "data/row_cache.h"
#include "data/split.h"
#include "session/ranks/shared_rows.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

void check_apart(const std::string& data, const std::string& output) {
  namespace fs = std::filesystem;
  const bool names_folder = fs::is_directory(data);
  const bool pattern = !fs::exists(data) && data.find_first_of("*?[") != std::string::npos;
  if (!names_folder && !pattern) return;
  const fs::path folder = names_folder ? fs::path(data) : fs::path(data).parent_path();
  std::error_code error;
  check(
      !fs::equivalent(folder.empty() ? "." : folder, output, error), ErrorKind::invalid,
      "`output` {} is the folder that `data` {} reads, so the next run would take this one's files for rows; "
      "give it a folder of its own",
      output, data);
}

void report_rows(const std::string& what, const Dataset& dataset, int64_t max_length,
                 const std::string& limit) {
  const auto are = [](int64_t count) { return count == 1 ? "is" : "are"; };
  const int64_t without_target = dataset.skipped - dataset.cut_off;
  if (dataset.conversations) info("{}: the rows are conversations of format {}", what, dataset.format);
  info("{}: {}, {}{}", what, counted(std::ssize(dataset.examples), "example"),
       counted(dataset.tokens(), "token"),
       without_target > 0 ? fmt::format("; {} without a target {} left out", counted(without_target, "row"),
                                        are(without_target))
                          : "");
  if (dataset.cut_off > 0)
    warn("{0}: {1} {2} longer than {3} ({4}), {5} no target within that length, and {2} left out", what,
         counted(dataset.cut_off, "row"), are(dataset.cut_off), counted(max_length, "token"), limit,
         dataset.cut_off == 1 ? "has" : "have");
  if (dataset.dropped > 0)
    warn("{0}: {1} {2} longer than {3} ({4}) and {2} left out", what, counted(dataset.dropped, "row"),
         are(dataset.dropped), counted(max_length, "token"), limit);
  if (dataset.truncated > 0) {
    warn("{0}: {1} {2} longer than {3} ({4}) and {2} cut: {5} of {6} {7} tokens are not used", what,
         counted(dataset.truncated, "example"), are(dataset.truncated), counted(max_length, "token"), limit,
         dataset.lost_tokens, dataset.truncated == 1 ? "its" : "their", dataset.cut_tokens);
  }
  for (const std::string& warning : dataset.warnings()) warn("{}: {}", what, warning);
}

namespace {

/// A value alone is shown as such.
Field data_field(std::vector<std::string>& data) {
  Field found = repeatable(
      field("data", data,
            "training rows: JSON lines, JSON array, CSV, TSV or Parquet; a file, a folder, or a pattern with "
            "*; several "
            "times for several; FILE:2 takes the rows of a file twice per epoch, FILE:0.5 half of them"));
  found.get = [&data] {
    return data.size() > 1 ? nlohmann::json(data) : nlohmann::json(data.empty() ? "" : data.front());
  };
  return found;
}

/// Each weight beside the number of its examples; reports what an epoch takes, if that is not each once.
WeightedExamples weighted(const Dataset& dataset, const std::vector<WeightedData>& data) {
  WeightedExamples found(dataset.examples, {});
  found.left_out = dataset.left_out;
  std::string parts;
  for (size_t i = 0; i < data.size(); ++i) {
    found.sources.push_back({dataset.sources[i], data[i].weight});
    parts += fmt::format("{}{} of {}", i == 0 ? "" : ", ", found.sources[i].taken(), data[i].pattern);
  }
  if (is_weighted(found.sources))
    info("an epoch takes {}: {}", counted(found.epoch_size(), "example"), parts);
  return found;
}

/// So many examples are read at once where prompts may be taken from them.
constexpr int64_t rows_for_samples = 16;

bool is_plain(const std::vector<WeightedData>& sources) {
  return std::ranges::all_of(sources, [](const WeightedData& source) { return source.weight == 1; });
}

}  // namespace

bool TrainingData::take_early(bool wait) {
  if (!early) return false;
  const WeightedExamples* whole = wait ? &early->wait() : early->whole();
  if (!whole) return false;
  examples = *whole;
  train = early->dataset();
  early.reset();
  report(train);
  return true;
}

std::vector<Field> TrainingDataOptions::fields(const std::string& evaluation_help) {
  std::vector<Field> all{
      data_field(data),
      field("eval_data", eval_data, evaluation_help),
      limited(field("eval_split", eval_split, "share of the training rows to evaluate on instead"), 0, 0.9),
      field("format", dataset.format, row_format_help),
      field("columns", dataset.columns, columns_help),
      limited(field("max_length", dataset.max_length,
                    "most tokens per example; 0: the model's context, less a method's virtual tokens"),
              0, 1 << 24),
      one_of(field("on_long", on_long, on_long_help), {"truncate", "drop", "error"}),
      one_of(field("train_on", train_on, train_on_help), {"assistant", "last", "all"})};
  for (Field& one : chat.template_fields()) {
    if (one.name == "chat_date") one.help += " (a resumed run keeps its own)";
    all.push_back(std::move(one));
  }
  all.push_back(
      field("cache", cache,
            "folder that keeps tokenised rows for later runs, unless the files have less than 16 MB; none: "
            "they are kept in memory; empty: lowrank/rows in the user's cache"));
  all.push_back(
      limited(field("show_rows", show_rows,
                    "shows that many training rows as they are learned, their targets in green, or in "
                    "brackets where there is no colour"),
              0, 1 << 20));
  return all;
}

TrainingData load_training_data(const TrainingDataOptions& options, const std::string& model,
                                const std::string& adapter, const ModelSpec& spec, int64_t context_rows,
                                uint64_t seed, bool early, const std::optional<RankGroup>& ranks) {
  check(options.eval_data.empty() || options.eval_split == 0, ErrorKind::invalid,
        "give `eval_data` or `eval_split`, not both");
  const std::vector<WeightedData> sources = weighted_data(options.data);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (std::optional<Tokenizer> found = find_tokenizer(model))
    tokenizer = std::make_shared<const Tokenizer>(std::move(*found));
  DatasetOptions dataset = options.dataset;
  dataset.on_long = on_long_named(options.on_long);
  dataset.train_on = train_on_named(options.train_on);
  if (tokenizer) dataset.chat = chat_format_on_demand(model, adapter, *tokenizer, options.chat);
  // So that what is wrong with an option is not taken for a fault of each row.
  if (tokenizer && options.chat.any_given()) dataset.chat(false);
  if (options.cache != "none") {
    check_cache_folder(options.cache);
    dataset.cache = options.cache.empty() ? default_cache_folder() : std::filesystem::path(options.cache);
  }
  const int64_t room = spec.max_positions - context_rows;
  check(room > 0, ErrorKind::invalid, "the method's {} virtual tokens fill the model's context of {}",
        context_rows, spec.max_positions);
  std::string limit = "`max_length`";
  if (dataset.max_length == 0 || (context_rows > 0 && dataset.max_length > room)) {
    dataset.max_length = room;
    limit = context_rows > 0 ? "the model's context less the method's virtual tokens" : "the model's context";
  }
  TrainingData data;
  data.report = [what = options.eval_split > 0 ? "rows" : "training", most = dataset.max_length, limit,
                 chat_given = options.chat.any_given()](const Dataset& rows) {
    report_rows(what, rows, most, limit);
    if (chat_given && !rows.conversations)
      warn("`chat_template` and `chat_template_kwargs` have no effect: the rows are not conversations");
  };
  const RowReaders readers(ranks, dataset.cache);
  const auto load = [&](const std::string& what, const std::vector<std::string>& patterns) {
    const bool kept =
        ranks && RowCache::of(patterns, tokenizer.get(), spec.vocabulary_size, dataset).has_value();
    return readers.load(
        what, kept, [&] { return load_dataset(patterns, tokenizer.get(), spec.vocabulary_size, dataset); });
  };
  if (early && options.eval_split == 0 && is_plain(sources))
    data.early = EarlyDataset::start(options.patterns(), tokenizer, spec.vocabulary_size, dataset,
                                     std::max(options.show_rows, rows_for_samples));
  if (data.early) {
    info("training: {} are read while the run begins", counted(data.early->rows(), "row"));
    data.train = data.early->beginning();
    data.examples.early = data.early;
  } else {
    data.train = load("training", options.patterns());
    data.report(data.train);
  }
  if (!options.eval_data.empty()) {
    data.evaluation = load("evaluation", {options.eval_data});
    report_rows("evaluation", data.evaluation, dataset.max_length, limit);
  } else if (options.eval_split > 0) {
    std::tie(data.train, data.evaluation) = split_dataset(std::move(data.train), options.eval_split, seed);
    info("of these, {} for training and {} for evaluation",
         counted(std::ssize(data.train.examples), "example"), data.evaluation.examples.size());
  }
  if (!data.early) data.examples = weighted(data.train, sources);
  return data;
}

}  // namespace lowrank
