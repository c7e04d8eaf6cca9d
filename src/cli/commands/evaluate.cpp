// lowrank evaluate: loss and perplexity on a data set, with or without an adapter.
#include "train/evaluate.h"

#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/session.h"

namespace lowrank {
namespace {

int run(const std::vector<std::string>& arguments) {
  SessionOptions session_options;
  std::string data;
  std::vector<std::string> adapters;
  DatasetOptions dataset_options;
  int64_t batch_size = 8;
  bool json = false;
  Arguments parser("evaluate", "mean loss over the target tokens of a data set");
  parser.add(session_options.fields());
  parser.add(
      {repeatable(field("adapter", adapters, adapters_help)),
       field("data", data, "JSON lines, JSON array, CSV or TSV; a file, a folder, or a pattern with *"),
       field("format", dataset_options.format, row_format_help),
       field("columns", dataset_options.columns, columns_help),
       limited(field("max_length", dataset_options.max_length, "tokens a row; 0: no limit"), 0, 1 << 24),
       limited(field("batch_size", batch_size, "rows computed together"), 1, 1 << 16),
       field("json", json, "the result as JSON on standard output")});
  if (!parser.parse(arguments)) return 0;
  require({{"--model", &session_options.model}, {"--data", &data}});
  const Session session = open_session(session_options, adapters);
  const ModelSpec& spec = session.checkpoint->spec();
  check(spec.task != Task::embedding, ErrorKind::invalid,
        "{}: an encoder without a label head has no loss; give --adapter with one", session_options.model);
  dataset_options.labels = spec.labels;
  dataset_options.adapter_number = session.adapter_number();
  if (spec.labels && dataset_options.max_length == 0) dataset_options.max_length = spec.max_positions;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(session_options.model);
  const bool shared = session.room() < spec.max_positions;
  if (shared && (dataset_options.max_length == 0 || dataset_options.max_length > session.room()))
    dataset_options.max_length = session.room();
  const Dataset dataset =
      load_dataset(data, tokenizer ? &*tokenizer : nullptr, spec.vocabulary_size, dataset_options);
  if (dataset.truncated > 0)
    warn("{} rows are longer than {} tokens and are cut: {} of their {} tokens are not used",
         dataset.truncated, dataset_options.max_length, dataset.lost_tokens, dataset.cut_tokens);
  if (dataset.skipped > 0) warn("{} rows have no target and are left out", dataset.skipped);
  for (const std::string& warning : dataset.notes.warnings()) warn("{}", warning);
  const Evaluation result = evaluate(*session.model, session.hooks(), dataset.examples, batch_size);
  check(spec.labels || std::isfinite(result.perplexity()), ErrorKind::invalid,
        "the loss of {:.6g} has no finite perplexity: the model gives these rows no chance at all",
        result.loss);
  if (json) {
    nlohmann::ordered_json out = result.figures();
    out["rows"] = result.rows;
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{}, {} rows\n", result.summary(), result.rows.size());
  }
  return 0;
}

}  // namespace

extern const CommandInfo evaluate_command;
const CommandInfo evaluate_command{"evaluate", "loss and perplexity on a data set", run};

}  // namespace lowrank
