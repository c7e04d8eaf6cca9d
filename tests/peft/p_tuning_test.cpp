// P-tuning: the encoders, restated, and what happens to them in files.
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include "support/expect_error.h"
#include "support/gradient_check.h"
#include "support/prompts.h"

namespace lowrank {
namespace {

using test::PromptOnTinyModel;

nlohmann::json mlp() {
  return {{"num_virtual_tokens", 4}, {"encoder_hidden_size", 6}};
}
nlohmann::json lstm() {
  return {{"num_virtual_tokens", 4}, {"encoder_hidden_size", 6}, {"encoder_reparameterization_type", "LSTM"}};
}

at::Tensor prompt_of(const Adapter& adapter) {
  return file_tensors(adapter).front().value;
}

struct Weights {
  const Adapter& adapter;
  at::Tensor operator()(const std::string& name) const { return adapter.parameters->at(name).detach(); }
  at::Tensor linear(const std::string& name, const at::Tensor& x) const {
    return x.mm((*this)(name + ".weight").t()) + (*this)(name + ".bias");
  }
};

TEST(PTuning, MlpGivesThePrompt) {
  const PromptOnTinyModel tuned("p_tuning", mlp());
  const Weights w{tuned.adapter};
  const at::Tensor inner =
      w.linear("mlp_head.2", w.linear("mlp_head.0", w("embedding.weight")).relu()).relu();
  EXPECT_LT(test::largest_difference(prompt_of(tuned.adapter), w.linear("mlp_head.4", inner)), 1e-6);
  EXPECT_EQ(tuned.adapter.parameters->count(), 4 * 32 + (6 * 32 + 6) + (6 * 6 + 6) + (32 * 6 + 32));
}

/// One direction of one layer: gates i, f, g, o.
at::Tensor recurrence(const Weights& w, const std::string& place, const at::Tensor& x, bool reverse) {
  at::Tensor h = at::zeros({1, 6}), c = at::zeros({1, 6});
  std::vector<at::Tensor> out(x.size(0));
  for (int64_t i = 0; i < x.size(0); ++i) {
    const int64_t t = reverse ? x.size(0) - 1 - i : i;
    const at::Tensor gates = x.narrow(0, t, 1).mm(w("lstm_head.weight_ih" + place).t()) +
                             w("lstm_head.bias_ih" + place) + h.mm(w("lstm_head.weight_hh" + place).t()) +
                             w("lstm_head.bias_hh" + place);
    const std::vector<at::Tensor> g = gates.split(6, 1);
    c = at::sigmoid(g[1]) * c + at::sigmoid(g[0]) * at::tanh(g[2]);
    h = at::sigmoid(g[3]) * at::tanh(c);
    out[t] = h[0];
  }
  return at::stack(out);
}

TEST(PTuning, LstmGivesThePrompt) {
  const PromptOnTinyModel tuned("p_tuning", lstm());
  const Weights w{tuned.adapter};
  at::Tensor x = w("embedding.weight");
  for (const std::string layer : {"_l0", "_l1"})
    x = at::cat({recurrence(w, layer, x, false), recurrence(w, layer + "_reverse", x, true)}, 1);
  const at::Tensor expected = w.linear("mlp_head.2", w.linear("mlp_head.0", x).relu());
  EXPECT_LT(test::largest_difference(prompt_of(tuned.adapter), expected), 1e-6);
}

TEST(PTuning, LstmGradientsMatchFiniteDifferences) {
  const PromptOnTinyModel tuned("p_tuning", lstm(), test::tiny_llama_config(), at::kDouble);
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  test::expect_gradients(
      *tuned.adapter.parameters,
      [&](bool backward) {
        Batch batch = test::batch_of(examples);
        tuned.adapter.method->layout(batch);
        tuned.adapter.method->begin_step({1, 1});
        const TargetLoss loss = batch_loss(*tuned.model, {&batch, true}, *tuned.adapter.method);
        if (backward) {
          loss.loss.backward();
          tuned.adapter.method->end_backward();
        }
        return loss.loss.item<double>();
      },
      41);
}

TEST(PTuning, PromptActsAsRowsInFrontOfTheText) {
  const PromptOnTinyModel encoded("p_tuning", mlp());
  const PromptOnTinyModel rows("prompt_tuning", {{"num_virtual_tokens", 4}});
  rows.set("prompt_embeddings", prompt_of(encoded.adapter));
  encoded.adapter.method->begin_step({});
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  EXPECT_LT(test::largest_difference(encoded.losses(examples), rows.losses(examples)), 1e-6);
}

TEST(PTuning, TrainingGoesOnWithTheEncoderOrWithTheTable) {
  for (const auto& options : {mlp(), lstm()}) {
    const PromptOnTinyModel tuned("p_tuning", options);
    const std::filesystem::path folder = tuned.folder.path() / "adapter";
    save_adapter(folder, tuned.adapter, "base");
    const Adapter again = load_adapter(folder, *tuned.checkpoint);
    EXPECT_EQ(again.parameters->count(), tuned.adapter.parameters->count());
    EXPECT_TRUE(again.parameters->values().equal(tuned.adapter.parameters->values()));
    std::filesystem::remove(folder / "encoder_state.safetensors");
    const Adapter table = load_adapter(folder, *tuned.checkpoint);
    EXPECT_EQ(table.parameters->count(), 4 * 32);
    EXPECT_TRUE(prompt_of(table).equal(prompt_of(tuned.adapter)));
    EXPECT_EQ(table.method->form().config(), tuned.adapter.method->form().config());
    // The table, saved over an encoder, leaves no encoder behind.
    save_adapter(folder, tuned.adapter, "base");
    save_adapter(folder, table, "base");
    EXPECT_FALSE(std::filesystem::exists(folder / "encoder_state.safetensors"));
  }
}

TEST(PTuning, AnEncoderOfAnotherPromptIsRefused) {
  const PromptOnTinyModel tuned("p_tuning", mlp());
  const std::filesystem::path folder = tuned.folder.path() / "adapter";
  save_adapter(folder, tuned.adapter, "base");
  std::filesystem::copy_file(folder / "encoder_state.safetensors", tuned.folder.path() / "kept");
  tuned.stir();
  save_adapter(folder, tuned.adapter, "base");
  std::filesystem::copy_file(tuned.folder.path() / "kept", folder / "encoder_state.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  test::expect_error(ErrorKind::invalid, "adapter_model.safetensors", "does not give prompt_embeddings",
                     [&] { load_adapter(folder, *tuned.checkpoint); });
}

TEST(PTuning, DropoutActsInTrainingAlone) {
  nlohmann::json options = lstm();
  options["encoder_dropout"] = 0.5;
  const PromptOnTinyModel tuned("p_tuning", options);
  const PromptOnTinyModel plain("p_tuning", lstm());
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  tuned.adapter.method->begin_step({1, 2});
  plain.adapter.method->begin_step({1, 2});
  const at::Tensor first = tuned.losses(examples, true);
  EXPECT_LT(test::largest_difference(tuned.losses(examples), plain.losses(examples)), 1e-6);
  EXPECT_GT(test::largest_difference(first, plain.losses(examples)), 1e-4);
  tuned.adapter.method->begin_step({2, 2});
  EXPECT_GT(test::largest_difference(first, tuned.losses(examples, true)), 1e-5);
  tuned.adapter.method->begin_step({1, 2});
  EXPECT_TRUE(first.equal(tuned.losses(examples, true)));
}

}  // namespace
}  // namespace lowrank
