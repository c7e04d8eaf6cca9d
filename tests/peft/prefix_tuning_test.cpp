// Prefix tuning: keys and values of tokens act as these tokens; the projection; files.
#include <ATen/ops/cat.h>
#include <ATen/ops/tanh.h>

#include "base/json.h"
#include "peft/merge/merge.h"
#include "support/expect_error.h"
#include "support/prompts.h"

namespace lowrank {
namespace {

/// Records the output of the fused product of queries, keys and values in each layer, using an output map.
struct KeysAndValues : Hooks {
  std::vector<Patch> patches(const Place&, const Module& module) const override {
    if (module.role != Role::query_key_value) return {};
    Patch patch;
    patch.end = module.out;
    const auto keep = [this](const at::Tensor& y) {
      layers.push_back(y);
      return y;
    };
    patch.out_map = {keep, keep};
    return {patch};
  }
  mutable std::vector<at::Tensor> layers;
};

TEST(PrefixTuning, KeysAndValuesOfTokensActAsTheTokens) {
  // GPT-2's keys are not rotated, so those of a pass over the tokens alone can be put in front as they are.
  const test::PromptOnTinyModel tuned("prefix_tuning", {{"num_virtual_tokens", 3}}, test::tiny_gpt2_config());
  KeysAndValues seen;
  const at::NoGradGuard no_grad;
  const Batch front = test::batch_of({test::example_of({7, 8, 9}, 0)});
  tuned.model->forward({&front}, seen, nullptr);
  std::vector<at::Tensor> slices;
  for (const at::Tensor& qkv : seen.layers) slices.push_back(qkv.narrow(1, 32, 64));
  tuned.set("prompt_embeddings", at::cat(slices, 1));
  // Labels stay as they are: the first token is not predicted.
  const at::Tensor given = tuned.losses({test::example_of({1, 2, 3, 4}, 0), test::example_of({5, 6}, 1)});
  const at::Tensor expected =
      tuned.base_losses({test::example_of({7, 8, 9, 1, 2, 3, 4}, 4), test::example_of({7, 8, 9, 5, 6}, 4)});
  ASSERT_EQ(given.sizes(), expected.sizes());
  EXPECT_LT(test::largest_difference(given, expected), 1e-5);
}

TEST(PrefixTuning, TextStartsBehindThePrefix) {
  const test::PromptOnTinyModel tuned("prefix_tuning", {{"num_virtual_tokens", 3}});
  Batch batch = test::batch_of({test::example_of({1, 2}, 0)});
  tuned.adapter.method->layout(batch);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(batch.positions, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{0}));
  EXPECT_EQ(tuned.adapter.plan.context_rows, 3);
  // Two key heads of 8 values, as keys and as values, in two layers.
  EXPECT_EQ(tuned.adapter.parameters->at("prompt_embeddings").sizes().vec(),
            (std::vector<int64_t>{3, 2 * 2 * 16}));
  const nlohmann::json config = tuned.adapter.method->form().config();
  EXPECT_EQ(config["token_dim"], 16);
  EXPECT_EQ(config["num_attention_heads"], 2);
  EXPECT_EQ(config["encoder_hidden_size"], 16);
}

TEST(PrefixTuning, ProjectionGivesThePrefixAndIsSavedBesideIt) {
  const nlohmann::json options = {
      {"num_virtual_tokens", 3}, {"prefix_projection", true}, {"encoder_hidden_size", 5}};
  const test::PromptOnTinyModel tuned("prefix_tuning", options);
  const auto at = [&](const char* name) { return tuned.adapter.parameters->at(name).detach(); };
  const at::Tensor inner =
      at::tanh(at("embedding.weight").mm(at("transform.0.weight").t()) + at("transform.0.bias"));
  const at::Tensor expected = inner.mm(at("transform.2.weight").t()) + at("transform.2.bias");
  const at::Tensor given = file_tensors(tuned.adapter).front().value;
  EXPECT_LT(test::largest_difference(given, expected), 1e-6);
  EXPECT_EQ(tuned.adapter.parameters->count(), 3 * 16 + 16 * 5 + 5 + 5 * 64 + 64);

  const test::PromptOnTinyModel flat("prefix_tuning", {{"num_virtual_tokens", 3}});
  flat.set("prompt_embeddings", expected);
  tuned.adapter.method->begin_step({});
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  EXPECT_LT(test::largest_difference(tuned.losses(examples), flat.losses(examples)), 1e-5);

  const std::filesystem::path folder = tuned.folder.path() / "adapter";
  save_adapter(folder, tuned.adapter, "base");
  EXPECT_TRUE(
      load_adapter(folder, *tuned.checkpoint).parameters->values().equal(tuned.adapter.parameters->values()));
  std::filesystem::remove(folder / "encoder_state.safetensors");
  EXPECT_TRUE(file_tensors(load_adapter(folder, *tuned.checkpoint)).front().value.equal(given));
}

TEST(PrefixTuning, StartsFromZerosOnRequest) {
  const test::PromptOnTinyModel flat("prefix_tuning", {{"init_weights", "zero"}});
  EXPECT_EQ(flat.adapter.parameters->values().abs().max().item<double>(), 0);
  const test::PromptOnTinyModel projected("prefix_tuning",
                                          {{"init_weights", "zero"}, {"prefix_projection", true}});
  EXPECT_EQ(file_tensors(projected.adapter).front().value.abs().max().item<double>(), 0);
  EXPECT_EQ(projected.adapter.method->form().config()["init_weights"], "zero");
}

TEST(PrefixTuning, CannotBeMerged) {
  const test::PromptOnTinyModel tuned("prefix_tuning");
  test::expect_error(ErrorKind::unsupported, "merged", "no weight holds them", [&] {
    merge_to_folder(*tuned.checkpoint, tuned.adapter, std::nullopt, tuned.folder.path() / "merged");
  });
}

}  // namespace
}  // namespace lowrank
