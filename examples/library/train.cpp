// Trains a LoRA adapter through the library and generates with it:  train MODEL ROWS.jsonl OUTPUT
#include <iostream>

#include "base/error.h"
#include "infer/generate.h"
#include "kernels/core/prepare_kernels.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "train/run.h"

using namespace lowrank;

namespace {

void train(const std::string& path, const std::string& rows, const std::string& output) {
  const auto checkpoint = Checkpoint::open(path);
  const auto tokenizer = find_tokenizer(path);

  const MethodInfo& lora = method_named("lora");
  std::unique_ptr<Method> method = lora.make();
  apply(method->fields(), {{"rank", 8}, {"target_modules", "all-linear"}}, "example");
  Adapter adapter = make_adapter(lora, std::move(method), *checkpoint);
  adapter.method->initialise(*checkpoint, 1);

  LoadOptions load;
  load.training = true;
  load.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, load);

  const Dataset data =
      load_dataset(rows, tokenizer ? &*tokenizer : nullptr, checkpoint->spec().vocabulary_size, {});
  TrainOptions options;
  options.steps = 20;
  options.lr = 5e-3;
  RunPlaces places{output, path, {}, {}};
  places.after_step = [](const StepResult& step, int64_t total) {
    std::cout << "step " << step.step << " of " << total << ": loss " << step.loss << '\n';
  };
  run_training(*model, adapter, data.examples, {}, options, places);

  if (!tokenizer) return;
  const auto results =
      generate(*model, InferenceHooks(adapter), *tokenizer, {{encode_prompt(*tokenizer, "Once")}}, {});
  std::cout << results[0].text << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  try {
    prepare_kernels();
    if (count == 4) return train(arguments[1], arguments[2], arguments[3]), 0;
    std::cerr << "usage: train MODEL ROWS.jsonl OUTPUT\n";
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}
