// lowrank classify: the labels that a model with a label head gives to texts.
#include <ATen/ops/argmax.h>
#include <ATen/ops/softmax.h>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/session.h"
#include "cli/text_rows.h"
#include "infer/encode.h"

namespace lowrank {
namespace {

/// Adds the result to each row: `label` and `probability` of a class, or the value as `label`.
void label_rows(std::vector<nlohmann::ordered_json>& rows, const at::Tensor& scores, const LabelSet& labels) {
  const at::Tensor shares = labels.has_classes() ? at::softmax(scores, 1) : scores;
  for (size_t i = 0; i < rows.size(); ++i) {
    const at::Tensor row = shares[static_cast<int64_t>(i)];
    if (!labels.has_classes()) {
      rows[i]["label"] = row.item<float>();
      continue;
    }
    const auto best = at::argmax(row).item<int64_t>();
    rows[i]["label"] = labels.names[best];
    rows[i]["probability"] = row[best].item<float>();
  }
}

int run(const std::vector<std::string>& arguments) {
  SessionOptions session_options;
  TextRowOptions texts;
  std::string adapter;
  Arguments parser("classify", "labels texts with a model that has a label head, or an adapter with one");
  parser.add(session_options.fields());
  parser.add({field("adapter", adapter, adapter_help)});
  parser.add(texts.fields());
  if (!parser.parse(arguments)) return 0;
  require({{"--model", &session_options.model}});
  const Session session = open_session(session_options, adapter);
  const ModelSpec& spec = session.checkpoint->spec();
  check(
      spec.labels.has_value(), ErrorKind::invalid,
      "{}: the model has no label head; give --adapter with one that `lowrank train` made from labelled rows",
      session_options.model);
  const Tokenizer tokenizer = load_tokenizer(session_options.model);
  TextRows rows = read_text_rows(texts, tokenizer, session.room());
  label_rows(rows.rows, score_texts(*session.model, session.hooks(), rows.ids, texts.batch_size),
             *spec.labels);
  write_rows(rows.rows, texts.output);
  return 0;
}

}  // namespace

extern const CommandInfo classify_command;
const CommandInfo classify_command{"classify", "labels texts", run};

}  // namespace lowrank
