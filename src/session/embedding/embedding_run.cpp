#include "session/embedding/embedding_run.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

#include "base/error.h"
#include "data/rows/rows.h"

namespace lowrank {
namespace {

std::optional<RowFormat> format_of(std::span<const std::string> patterns, const DatasetOptions& rows) {
  if (patterns.empty()) return std::nullopt;
  return first_format(patterns.front(), {rows.format, rows.columns, true});
}

}  // namespace

bool compares_texts(const std::string& task, std::span<const std::string> patterns,
                    const DatasetOptions& rows) {
  if (task != "auto") return task == "embedding";
  const std::optional<RowFormat> format = format_of(patterns, rows);
  return format && is_compared(*format);
}

ContrastiveRun comparison_of(const ContrastiveOptions& options, const std::string& model,
                             const ModelSpec& spec, std::span<const std::string> patterns,
                             DatasetOptions& rows) {
  check(!spec.labels, ErrorKind::invalid,
        "{}: the model has a label head, and embeddings come from one without; give the encoder", model);
  EmbeddingForm form = embedding_form(model, spec);
  check(!form.lowercase, ErrorKind::unsupported,
        "{}: \"do_lower_case\" is true in sentence-transformers' configuration, and training with it is not "
        "supported",
        model);
  const std::optional<RowFormat> format = format_of(patterns, rows);
  // Sentences with a "label" are scored ones here; a format that is something else is refused when it is
  // read.
  if (rows.format.empty() && (!format || is_compared(*format)))
    rows.format = format == RowFormat::pairs ? "pairs" : "scores";
  rows.compared = TextPrompts{form.prompt_of(options.query_prompt), form.prompt_of(options.document_prompt)};
  if (rows.max_length == 0 && form.max_tokens && *form.max_tokens < spec.max_positions)
    rows.max_length = *form.max_tokens;
  return contrastive_run(options, std::move(form), rows.format == "scores", spec.hidden_size);
}

void check_comparison(const TrainOptions& options, const ExampleStore& examples) {
  check(
      !options.tokens_per_batch, ErrorKind::invalid,
      "`tokens_per_batch` is not for embeddings, where the number of rows in a batch (`batch_size`) decides "
      "what is compared; `mini_batch_size` limits the memory");
  check(!options.group_prompts, ErrorKind::invalid, "`group_prompts` is not for embeddings");
  const ContrastiveRun& run = *options.contrastive;
  if (run.loss == ComparedLoss::cosine_similarity || examples.empty()) return;
  const auto size = std::min<int64_t>(options.rows_per_batch(), std::ssize(examples));
  const bool negatives =
      run.loss == ComparedLoss::multiple_negatives_ranking && text_ends(examples.front()).size() > 2;
  check(size > 1 || negatives, ErrorKind::invalid,
        "a batch of one row has nothing that the loss compares it with; {}",
        examples.size() > 1 ? "raise `batch_size`"
                            : "more rows are needed, or for pairs a \"negative\" in the row");
}

void check_unused(const ContrastiveOptions& options) {
  const ContrastiveOptions usual;
  std::vector<std::string> given;
  if (options.embedding_loss != usual.embedding_loss) given.emplace_back("`embedding_loss`");
  if (options.similarity_scale != usual.similarity_scale) given.emplace_back("`similarity_scale`");
  if (!options.matryoshka_dims.empty()) given.emplace_back("`matryoshka_dims`");
  if (!options.matryoshka_weights.empty()) given.emplace_back("`matryoshka_weights`");
  if (options.mini_batch_size != usual.mini_batch_size) given.emplace_back("`mini_batch_size`");
  if (!options.query_prompt.empty()) given.emplace_back("`query_prompt`");
  if (!options.document_prompt.empty()) given.emplace_back("`document_prompt`");
  check(given.empty(), ErrorKind::invalid,
        "{} {} for rows that train embeddings: \"anchor\" and \"positive\", or \"sentence1\", \"sentence2\" "
        "and "
        "\"score\" (or `task` embedding)",
        fmt::join(given, ", "), given.size() == 1 ? "is" : "are");
}

}  // namespace lowrank
