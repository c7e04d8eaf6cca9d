#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "support/adapters.h"

namespace lowrank::test {

/// A method with virtual tokens on a tiny model, for comparisons with the base on real tokens.
struct PromptOnTinyModel {
  TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  Adapter adapter;
  std::unique_ptr<Model> model;

  explicit PromptOnTinyModel(const std::string& method,
                             const nlohmann::json& options = nlohmann::json::object(),
                             const nlohmann::json& config = tiny_llama_config(),
                             at::ScalarType type = at::kFloat) {
    write_tiny_model(folder.path() / "base", config);
    checkpoint = Checkpoint::open(folder.path() / "base");
    const MethodInfo& info = method_named(method);
    std::unique_ptr<Method> made = info.make();
    apply(made->fields(), options, "test");
    adapter = make_adapter(info, std::move(made), *checkpoint, type);
    adapter.method->initialise(*checkpoint, 7);
    LoadOptions load;
    load.compute = type;
    load.training = true;
    model = checkpoint->family().load(checkpoint, load);
  }

  void stir() const {
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor values = adapter.parameters->values();
    values.add_(random_like(values, random), 0.1);
  }

  static at::Tensor random_like(const at::Tensor& like, Philox& random) {
    at::Tensor values = at::empty(like.sizes(), at::kFloat);
    for (int64_t i = 0; i < values.numel(); ++i) values.mutable_data_ptr<float>()[i] = random.normal();
    return values.to(like.scalar_type());
  }

  /// Rows of the embedding.
  at::Tensor embedded(const std::vector<int64_t>& tokens) const {
    return checkpoint
        ->read(*std::ranges::find(checkpoint->spec().tensors, Role::embedding, &TensorRef::role), at::kFloat)
        .index_select(0, at::tensor(tokens, at::kLong));
  }

  void set(const std::string& name, const at::Tensor& value) const {
    const at::NoGradGuard no_grad;
    at::Tensor parameter = adapter.parameters->at(name);
    parameter.copy_(value);
  }

  /// Loss of each target, with the adapter.
  at::Tensor losses(const std::vector<Example>& examples, bool training = false) const {
    const at::NoGradGuard no_grad;
    Batch batch = batch_of(examples);
    adapter.method->layout(batch);
    return batch_loss(*model, {&batch, training}, *adapter.method).nll;
  }
  /// The same of the base.
  at::Tensor base_losses(const std::vector<Example>& examples) const {
    const at::NoGradGuard no_grad;
    const Batch batch = batch_of(examples);
    return batch_loss(*model, {&batch}, Hooks()).nll;
  }
};

/// Tokens that are targets from `first_target` on.
inline Example example_of(std::vector<int64_t> tokens, size_t first_target) {
  Example example{tokens, tokens, 1};
  std::fill_n(example.labels.begin(), first_target, no_target);
  return example;
}

}  // namespace lowrank::test
