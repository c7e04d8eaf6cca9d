// lowrank embed: texts as vectors, as sentence-transformers computes them.
#include "base/error.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/session.h"
#include "cli/text_rows.h"
#include "infer/encode.h"

namespace lowrank {
namespace {

int run(const std::vector<std::string>& arguments) {
  SessionOptions session_options;
  TextRowOptions texts;
  std::string adapter, pooling = "auto";
  std::optional<bool> normalise;
  Arguments parser("embed", "writes texts with their embeddings, one vector each");
  parser.add(session_options.fields());
  parser.add({field("adapter", adapter, adapter_help)});
  parser.add(texts.fields());
  parser.add({one_of(field("pooling", pooling,
                           "mean of the tokens' hidden states, or the first token's; auto: the model's own"),
                     {"auto", "mean", "first"}),
              field("normalise", normalise, "vectors of length 1; without it as the model says")});
  if (!parser.parse(arguments)) return 0;
  require({{"--model", &session_options.model}});
  const Session session = open_session(session_options, adapter);
  const ModelSpec& spec = session.checkpoint->spec();
  check(spec.task != Task::causal_lm, ErrorKind::unsupported,
        "{}: embeddings come from encoders such as BERT, not from a causal language model",
        session_options.model);
  EmbeddingForm form = embedding_form(session_options.model);
  if (pooling != "auto") form.pooling = pooling == "mean" ? Pooling::mean : Pooling::first;
  form.normalised = normalise.value_or(form.normalised);
  const Tokenizer tokenizer = load_tokenizer(session_options.model);
  TextRows rows = read_text_rows(texts, tokenizer, session.room());
  const at::Tensor vectors = embed_texts(*session.model, session.hooks(), rows.ids, texts.batch_size, form);
  const auto* values = vectors.const_data_ptr<float>();
  for (size_t i = 0; i < rows.rows.size(); ++i, values += vectors.size(1))
    rows.rows[i]["embedding"] = std::vector<float>(values, values + vectors.size(1));
  write_rows(rows.rows, texts.output);
  return 0;
}

}  // namespace

extern const CommandInfo embed_command;
const CommandInfo embed_command{"embed", "turns texts into vectors", run};

}  // namespace lowrank
