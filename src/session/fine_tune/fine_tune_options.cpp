#include "session/fine_tune/fine_tune_options.h"

#include <algorithm>
#include <iterator>

namespace lowrank {

std::vector<Field> FineTuneOptions::run_fields() {
  return {
      field("method", method,
            "training method (`lowrank methods` lists them); lora+prompt_tuning: two side by side"),
      one_of(field("task", task,
                   "embedding: texts' vectors are trained on pairs or scores; classification, regression: "
                   "what an encoder's labels are; auto: follows from the rows"),
             {"auto", "classification", "regression", "embedding"}),
      field("output", output, "folder for the adapter and the run's records"),
      field("init_adapter", init_adapter, "adapter to start from; its method and options are kept"),
      one_of(field("export", exported,
                   "gguf-lora: also write adapter.gguf for llama.cpp and Ollama; gguf: also write the "
                   "merged model as model.gguf (from a GGUF base)"),
             {"none", "gguf-lora", "gguf"}),
      field("overwrite", overwrite, "replace the results of an earlier run in `output`")};
}

std::vector<Field> FineTuneOptions::fields() {
  std::vector<Field> all = session.fields();
  for (std::vector<Field> part : {rows.fields(evaluation_help), run_fields(), train.fields(),
                                  embedding.fields(), samples.fields(), resume.fields()})
    std::ranges::move(part, std::back_inserter(all));
  return all;
}

}  // namespace lowrank
