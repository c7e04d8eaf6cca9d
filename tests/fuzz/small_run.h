#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "kernels/core/prepare_kernels.h"
#include "model/checkpoint.h"
#include "model/model.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"

namespace lowrank::fuzz {

/// Limit for the numbers in a configuration, since requested sizes of gigabytes would be granted.
inline constexpr double largest_number = 3000;

/// Called once before anything is computed: sets one thread, as libFuzzer requires.
inline void prepare_small_runs() {
  static const bool prepared = [] {
    prepare_kernels();
    at::set_num_threads(1);
    return true;
  }();
  (void)prepared;
}

/// Five tokens of one sequence.
inline Batch five_tokens(int64_t vocabulary) {
  Batch batch;
  for (int64_t i = 0; i < 5; ++i) {
    batch.tokens.push_back(i % vocabulary);
    batch.positions.push_back(i);
  }
  batch.offsets = {0, 5};
  batch.examples = {0};
  batch.prompt_rows = {3};
  batch.first_labels = {no_target};
  return batch;
}

/// Computes the hidden states of five tokens with a method on them.
inline void forward(const Model& model, Method& method) {
  if (model.spec().max_positions < 5) return;
  const at::NoGradGuard no_gradients;
  Batch batch = five_tokens(model.spec().vocabulary_size);
  method.begin_step({});
  method.layout(batch);
  (void)model.forward({&batch}, method, nullptr);
}

/// Loads the model of a checkpoint and runs it with LoRA. `choice` varies how weights are held.
inline void load_and_run(const std::shared_ptr<const Checkpoint>& checkpoint, size_t choice) {
  prepare_small_runs();
  constexpr BaseMemory memories[] = {BaseMemory::fast, BaseMemory::one, BaseMemory::small};
  LoadOptions options;
  options.memory = memories[choice % std::size(memories)];
  options.compute = choice % 5 == 0 ? at::kBFloat16 : at::kFloat;
  const std::unique_ptr<Model> model = checkpoint->family().load(checkpoint, options);
  const MethodInfo& lora = method_named("lora");
  const Adapter adapter = make_adapter(lora, lora.make(), *checkpoint);
  forward(*model, *adapter.method);
}

}  // namespace lowrank::fuzz
