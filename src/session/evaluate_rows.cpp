#include "session/evaluate_rows.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"
#include "data/examples/cache_folder.h"
#include "data/rows/rows.h"
#include "session/embedding/embedding_run.h"
#include "session/failures.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {

std::vector<Field> EvaluateOptions::fields() {
  std::vector<Field> all{
      field("data", data,
            "JSON lines, JSON array, CSV, TSV or Parquet; a file, a folder, or a pattern with *"),
      field("format", dataset.format, row_format_help), field("columns", dataset.columns, columns_help),
      limited(field("max_length", dataset.max_length, "tokens per example; 0: no limit"), 0, 1 << 24),
      limited(field("batch_size", batch_size, "examples computed together"), 1, 1 << 16)};
  for (std::vector<Field> part : {embedding.fields(), chat.template_fields()})
    std::ranges::move(part, std::back_inserter(all));
  all.push_back(field("cache", cache,
                      "folder that keeps tokenised rows for later evaluations, unless the files have less "
                      "than 16 MB; empty or none: they are kept in memory"));
  return all;
}

Evaluation evaluate_rows(const RunningModel& running, const std::string& model,
                         const EvaluateOptions& options) {
  const ModelSpec& spec = running.checkpoint.spec();
  need_options({{"data", &options.data}});
  DatasetOptions reading = options.dataset;
  std::optional<ContrastiveRun> comparison;
  if (compares_texts("auto", std::span(&options.data, 1), reading)) {
    check(!running.adapter_number, ErrorKind::unsupported,
          "rows that compare texts are evaluated with one `adapter`, not with several by name");
    comparison = comparison_of(options.embedding, model, spec, std::span(&options.data, 1), reading);
  } else {
    check_unused(options.embedding);
  }
  check(spec.task != Task::embedding || comparison, ErrorKind::invalid,
        "{}: an encoder without a label head has no loss on these rows; give `adapter` with one, or rows of "
        "\"anchor\" and \"positive\" or of \"sentence1\", \"sentence2\" and \"score\"",
        model);
  reading.labels = spec.labels;
  reading.adapter_number = running.adapter_number;
  if (options.cache != "none") {
    check_cache_folder(options.cache);
    reading.cache = options.cache;
  }
  if ((spec.labels || comparison) && reading.max_length == 0) reading.max_length = spec.max_positions;
  const bool less_room = running.room < spec.max_positions;
  if (less_room && (reading.max_length == 0 || reading.max_length > running.room))
    reading.max_length = running.room;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(model);
  if (tokenizer) reading.chat = chat_format_on_demand(model, running.adapter_path, *tokenizer, options.chat);
  const Dataset dataset =
      load_dataset(options.data, tokenizer ? &*tokenizer : nullptr, spec.vocabulary_size, reading);
  if (dataset.truncated > 0) {
    const bool one = dataset.truncated == 1;
    warn("{0} {1} longer than {2} and {1} cut: {3} of {4} {5} are not used",
         counted(dataset.truncated, "example"), one ? "is" : "are", counted(reading.max_length, "token"),
         dataset.lost_tokens, one ? "its" : "their", counted(dataset.cut_tokens, "token"));
  }
  if (dataset.skipped > 0)
    warn("{} without a target left out{}", counted(dataset.skipped, "row"),
         dataset.cut_off > 0 ? fmt::format(", {} of them longer than {}", dataset.cut_off,
                                           counted(reading.max_length, "token"))
                             : "");
  for (const std::string& warning : dataset.warnings()) warn("{}", warning);
  Evaluation result =
      comparison ? evaluate(running.model, running.hooks, dataset.examples, options.batch_size, *comparison)
                 : evaluate(running.model, running.hooks, dataset.examples, options.batch_size);
  running.checkpoint.check_unchanged();
  check(spec.labels || comparison || std::isfinite(result.perplexity()), ErrorKind::invalid,
        "the loss of {:.6g} has no finite perplexity: the model gives these rows no chance at all",
        result.loss);
  return result;
}

}  // namespace lowrank
