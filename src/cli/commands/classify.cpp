// lowrank classify: labels texts with a model that has a label head.
#include <ATen/ops/argmax.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/row_writer.h"
#include "infer/encode.h"
#include "session/session.h"
#include "session/text_rows.h"

namespace lowrank {
namespace {

/// The classes with a probability above a half, and the probabilities of all.
void add_classes(nlohmann::ordered_json& row, const char* key, const at::Tensor& shares,
                 const LabelSet& labels) {
  row[key] = nlohmann::ordered_json::array();
  for (int64_t i = 0; i < labels.outputs(); ++i) {
    const float share = shares[i].item<float>();
    if (share > 0.5F) row[key].push_back(labels.names[i]);
    row["probabilities"][labels.names[i]] = share;
  }
}

/// Writes each row with its result: the class as label with its probability, or the value as label; for texts
/// that may have several classes, their list and the probability of each.
void write_labels(TextRows& texts, const at::Tensor& scores, const LabelSet& labels, RowWriter& writer) {
  const at::Tensor shares = labels.several         ? at::sigmoid(scores)
                            : labels.has_classes() ? at::softmax(scores, 1)
                                                   : scores;
  // A row's own label is kept next to the model's.
  const char* key = any_has(texts.rows, "label") ? "predicted_label" : "label";
  for (size_t i = 0; i < texts.rows.size(); ++i) {
    const at::Tensor row = shares[static_cast<int64_t>(i)];
    if (labels.several) {
      add_classes(texts.rows[i], key, row, labels);
    } else if (labels.has_classes()) {
      const auto best = at::argmax(row).item<int64_t>();
      texts.rows[i][key] = labels.names[best];
      texts.rows[i]["probability"] = row[best].item<float>();
    } else {
      texts.rows[i][key] = row.item<float>();
    }
    writer.write(texts.rows[i]);
  }
  writer.commit();
}

int run(Arguments& arguments) {
  SessionOptions session_options;
  TextRowOptions options;
  std::string adapter;
  arguments.set_example("lowrank classify --model encoder --adapter adapter --text \"a fine film\"");
  arguments.add(session_options.fields());
  arguments.add({field("adapter", adapter, adapter_help)});
  arguments.add(options.fields());
  if (!arguments.parse()) return 0;
  require({{"--model", &session_options.model}});
  const OpenSession session = open_session(session_options, adapter);
  const ModelSpec& spec = session.checkpoint->spec();
  check(
      spec.labels.has_value(), ErrorKind::invalid,
      "{}: the model has no label head; give --adapter with one that `lowrank train` made from labelled rows",
      session_options.model);
  const Tokenizer tokenizer = load_tokenizer(session_options.model);
  TextRows texts = read_text_rows(options, tokenizer, session.room());
  RowWriter writer(options.output, options.data);
  write_labels(texts,
               score_texts(*session.model, session.hooks(), texts.ids, options.batch_size, texts.type_one),
               *spec.labels, writer);
  return 0;
}

}  // namespace

extern const CommandInfo classify_command;
const CommandInfo classify_command{
    "classify", "labels texts with an encoder (BERT, RoBERTa, ModernBERT) and its label head", run};

}  // namespace lowrank
