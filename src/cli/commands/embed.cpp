// lowrank embed: texts as vectors, as sentence-transformers computes them.
#include <algorithm>

#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/row_writer.h"
#include "infer/encode.h"
#include "session/session.h"
#include "session/text_rows.h"

namespace lowrank {
namespace {

int run(Arguments& arguments) {
  SessionOptions session_options;
  TextRowOptions options;
  std::string adapter, pooling = "auto", prompt;
  std::optional<bool> normalise;
  arguments.set_example("lowrank embed --model encoder --data texts.jsonl --output vectors.jsonl");
  arguments.add(session_options.fields());
  arguments.add({field("adapter", adapter, adapter_help)});
  arguments.add(options.fields());
  arguments.add(
      {one_of(field("pooling", pooling,
                    "mean of the tokens' hidden states, or the first or last token's; auto: the model's own"),
              {"auto", "mean", "first", "last"}),
       any_text(
           field("prompt", prompt,
                 "what stands in front of every text: the name of one of the model's prompts, or a text; "
                 "empty: the model's default")),
       field("normalise", normalise, "scale vectors to length 1; by default as the model says")});
  if (!arguments.parse()) return 0;
  require({{"--model", &session_options.model}});
  const OpenSession session = open_session(session_options, adapter);
  const ModelSpec& spec = session.checkpoint->spec();
  EmbeddingForm form = embedding_form(session_options.model, spec);
  if (pooling != "auto")
    form.pooling = pooling == "mean" ? Pooling::mean : pooling == "last" ? Pooling::last : Pooling::first;
  if (!prompt.empty()) form.prompt = form.prompt_of(prompt);
  form.normalised = normalise.value_or(form.normalised);
  const Tokenizer tokenizer =
      tokenizer_for(load_tokenizer(session_options.model), form, session_options.model);
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
