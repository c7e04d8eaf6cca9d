// lowrank embed: texts as vectors, as sentence-transformers computes them.
#include <algorithm>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/row_writer.h"
#include "infer/encode.h"
#include "session/session.h"
#include "session/text_rows.h"

namespace lowrank {
namespace {

/// The model's tokenizer, made to lower-case if the embedding form asks for it.
Tokenizer tokenizer_for(const std::string& model, const EmbeddingForm& form) {
  Tokenizer tokenizer = load_tokenizer(model);
  if (!form.lowercase) return tokenizer;
  TokenizerSpec spec = tokenizer.spec();
  std::vector<NormalizerStep> steps{TextForm::lowercase};
  for (const NormalizerStep& step : spec.normalizer) steps.push_back(step);
  spec.normalizer = std::move(steps);
  return {std::move(spec), model};
}

int run(Arguments& arguments) {
  SessionOptions session_options;
  TextRowOptions options;
  std::string adapter, pooling = "auto";
  std::optional<bool> normalise;
  arguments.set_example("lowrank embed --model encoder --data texts.jsonl --output vectors.jsonl");
  arguments.add(session_options.fields());
  arguments.add({field("adapter", adapter, adapter_help)});
  arguments.add(options.fields());
  arguments.add(
      {one_of(field("pooling", pooling,
                    "mean of the tokens' hidden states, or the first token's; auto: the model's own"),
              {"auto", "mean", "first"}),
       field("normalise", normalise, "scale vectors to length 1; by default as the model says")});
  if (!arguments.parse()) return 0;
  require({{"--model", &session_options.model}});
  const OpenSession session = open_session(session_options, adapter);
  const ModelSpec& spec = session.checkpoint->spec();
  check(spec.task != Task::causal_lm, ErrorKind::unsupported,
        "{}: embeddings come from encoders such as BERT, not from a causal language model",
        session_options.model);
  EmbeddingForm form = embedding_form(session_options.model, spec.hidden_size);
  if (pooling != "auto") form.pooling = pooling == "mean" ? Pooling::mean : Pooling::first;
  form.normalised = normalise.value_or(form.normalised);
  const Tokenizer tokenizer = tokenizer_for(session_options.model, form);
  const int64_t longest = std::min(session.room(), form.max_tokens.value_or(session.room()));
  TextRows texts = read_text_rows(options, tokenizer, longest, form.prompt);
  RowWriter writer(options.output, options.data);
  const at::Tensor vectors =
      embed_texts(*session.model, session.hooks(), texts.ids, options.batch_size, form, texts.type_one);
  const auto* values = vectors.const_data_ptr<float>();
  for (nlohmann::ordered_json& row : texts.rows) {
    row["embedding"] = std::vector<float>(values, values + vectors.size(1));
    writer.write(row);
    values += vectors.size(1);
  }
  writer.commit();
  return 0;
}

}  // namespace

extern const CommandInfo embed_command;
const CommandInfo embed_command{"embed", "turns texts into vectors, as sentence-transformers does", run};

}  // namespace lowrank
