#include "cli/training_data.h"

#include <optional>
#include <tuple>

#include "base/error.h"
#include "base/log.h"
#include "text/tokenizer.h"

namespace lowrank {
namespace {

void tell(const char* what, const Dataset& dataset) {
  info("{}: {} rows, {} tokens{}{}", what, dataset.examples.size(), dataset.tokens(),
       dataset.truncated > 0 ? fmt::format(", {} cut to --max-length", dataset.truncated) : "",
       dataset.skipped > 0 ? fmt::format(", {} left out for want of a target", dataset.skipped) : "");
}

}  // namespace

std::vector<Field> TrainingDataOptions::fields(const std::string& evaluation_help) {
  return {
      field("data", data,
            "training rows: JSON lines, JSON array, CSV or TSV; a file, a folder, or a pattern with *"),
      field("eval_data", eval_data, evaluation_help),
      limited(field("eval_split", eval_split, "share of the training rows to evaluate on instead"), 0, 0.9),
      field("format", dataset.format, row_format_help),
      field("columns", dataset.columns, columns_help),
      limited(field("max_length", dataset.max_length,
                    "tokens a row; 0: the model's context, less a method's virtual tokens"),
              0, 1 << 24)};
}

TrainingData load_training_data(const TrainingDataOptions& options, const std::string& model,
                                const ModelSpec& spec, int64_t context_rows, uint64_t seed) {
  check(options.eval_data.empty() || options.eval_split == 0, ErrorKind::invalid,
        "give --eval-data or --eval-split, not both");
  const std::optional<Tokenizer> found = find_tokenizer(model);
  const Tokenizer* tokenizer = found ? &*found : nullptr;
  DatasetOptions dataset = options.dataset;
  const int64_t room = spec.max_positions - context_rows;
  check(room > 0, ErrorKind::invalid, "the method's {} virtual tokens fill the model's context of {}",
        context_rows, spec.max_positions);
  if (dataset.max_length == 0 || (context_rows > 0 && dataset.max_length > room)) dataset.max_length = room;
  TrainingData data;
  data.train = load_dataset(options.data, tokenizer, spec.vocabulary_size, dataset);
  if (!options.eval_data.empty()) {
    data.evaluation = load_dataset(options.eval_data, tokenizer, spec.vocabulary_size, dataset);
  } else if (options.eval_split > 0) {
    std::tie(data.train, data.evaluation) = split_dataset(std::move(data.train), options.eval_split, seed);
  }
  tell("training", data.train);
  if (!data.evaluation.examples.empty()) tell("evaluation", data.evaluation);
  return data;
}

}  // namespace lowrank
