// PreLayer: rows that are the base's own act as the tokens; adding, concatenating, and their gradients.
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "support/expect_error.h"
#include "support/gradient_check.h"
#include "support/prompts.h"

namespace lowrank {
namespace {

constexpr const char* rows_key = "prelayer_embeddings";

/// Records the rows that enter each layer.
struct Inputs : Hooks {
  at::Tensor embed(const Place&, const Embedding&, at::Tensor rows) const override {
    layers.push_back(rows);
    return layers.back();
  }
  HiddenState layer_end(const Place&, HiddenState hidden) const override {
    layers.push_back(hidden.sum());
    return hidden;
  }
  mutable std::vector<at::Tensor> layers;
};

at::Tensor inputs_of(const test::PromptOnTinyModel& on, const std::vector<int64_t>& tokens) {
  const at::NoGradGuard no_grad;
  Inputs seen;
  const Batch batch = test::batch_of({test::example_of(tokens, 0)});
  on.model->forward({&batch}, seen, nullptr);
  seen.layers.pop_back();
  return at::stack(seen.layers);
}

TEST(PreLayer, TheBasesOwnRowsActAsTheTokens) {
  for (const auto& config :
       {test::tiny_llama_config(), test::tiny_gpt2_config(), test::tiny_gemma3_config()}) {
    const test::PromptOnTinyModel tuned("pre_layer", {{"num_prefix_tokens", 2}, {"num_infix_tokens", 1}},
                                        config);
    // Prefix and infix see what is before them: the infix's rows are those of this one prompt.
    const at::Tensor all = inputs_of(tuned, {7, 8, 1, 2, 9});
    tuned.set(rows_key, at::cat({all.narrow(1, 0, 2), all.narrow(1, 4, 1)}, 1));
    const at::Tensor given = tuned.losses({test::example_of({1, 2, 3, 4}, 2)});
    const at::Tensor expected = tuned.base_losses({test::example_of({7, 8, 1, 2, 9, 3, 4}, 5)});
    ASSERT_EQ(given.sizes(), expected.sizes());
    EXPECT_LT(test::largest_difference(given, expected), 1e-5);
  }
}

TEST(PreLayer, StartsFromWhatTheBaseComputesOfRandomTokens) {
  const test::PromptOnTinyModel tuned("pre_layer", {{"num_prefix_tokens", 3}});
  const at::Tensor rows = tuned.adapter.parameters->at(rows_key).detach();
  std::vector<int64_t> all(64), tokens;
  for (int64_t i = 0; i < 64; ++i) all[i] = i;
  const at::Tensor table = tuned.embedded(all);
  for (int64_t i = 0; i < 3; ++i)
    tokens.push_back((table - rows[0][i]).abs().sum(1).argmin().item<int64_t>());
  EXPECT_LT(test::largest_difference(rows, inputs_of(tuned, tokens)), 1e-5);
}

TEST(PreLayer, AddingZerosIsPreEmbed) {
  const test::PromptOnTinyModel added("pre_layer", {{"prelayer_mode", "add"}, {"num_prefix_tokens", 3}});
  const test::PromptOnTinyModel embedded("pre_embed", {{"num_prefix_tokens", 3}, {"num_infix_tokens", 0}});
  embedded.set("prompt_embeddings", added.adapter.parameters->at(rows_key).detach()[0]);
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  EXPECT_LT(test::largest_difference(added.losses(examples), embedded.losses(examples)), 1e-6);
  added.stir();
  EXPECT_GT(test::largest_difference(added.losses(examples), embedded.losses(examples)), 1e-3);
}

TEST(PreLayer, ScopeAllAddsTheMeanToTheText) {
  const nlohmann::json options = {{"prelayer_mode", "add"}, {"num_prefix_tokens", 2}};
  nlohmann::json all = options;
  all["prelayer_scope"] = "all";
  const test::PromptOnTinyModel special("pre_layer", options), everywhere("pre_layer", all);
  at::Tensor rows = special.adapter.parameters->at(rows_key).detach().clone();
  rows[1][0].fill_(0.5);
  rows[1][1].fill_(-0.5);
  special.set(rows_key, rows);
  everywhere.set(rows_key, rows);
  const std::vector<Example> examples = test::random_examples({5, 3}, 64);
  EXPECT_LT(test::largest_difference(special.losses(examples), everywhere.losses(examples)), 1e-6);
  rows[1][1].fill_(0.5);
  special.set(rows_key, rows);
  everywhere.set(rows_key, rows);
  EXPECT_GT(test::largest_difference(special.losses(examples), everywhere.losses(examples)), 1e-4);
}

TEST(PreLayer, ConcatenatedRowsLieBeforeTheEarlierOnes) {
  const test::PromptOnTinyModel tuned("pre_layer",
                                      {{"prelayer_mode", "concatenate"}, {"num_prefix_tokens", 3}});
  EXPECT_EQ(tuned.adapter.plan.context_rows, 6);
  EXPECT_FALSE(tuned.adapter.method->can_cache());
  Batch batch = test::batch_of({test::example_of({1, 2}, 1)});
  tuned.adapter.method->layout(batch);
  EXPECT_EQ(batch.positions, (std::vector<int64_t>{3, 4, 5, 6, 7}));
  const at::NoGradGuard no_grad;
  const HiddenState first = embedded({&batch}, *tuned.adapter.method, tuned.model->embedding());
  const HiddenState second = tuned.adapter.method->layer_end(test::PlacesIn(batch).layer(0), first);
  const at::Tensor rows = tuned.adapter.parameters->at(rows_key).detach();
  EXPECT_TRUE(second.stream.equal(at::cat({rows[1], rows[0], tuned.embedded({1, 2})})));
  EXPECT_EQ(second.layout.positions[0].item<int64_t>(), 0);
  EXPECT_EQ(second.layout.batch_rows, (std::vector<int64_t>{3, 4, 5, 6, 7}));
  // Nothing is inserted in front of the last layer's result, which only predicts.
  EXPECT_EQ(tuned.adapter.method->layer_end(test::PlacesIn(batch).layer(1), second).layout.rows(), 8);
}

class PreLayerModes : public testing::TestWithParam<const char*> {};

TEST_P(PreLayerModes, GradientsMatchFiniteDifferences) {
  nlohmann::json options = {{"num_prefix_tokens", 2}, {"prelayer_mode", GetParam()}};
  if (std::string_view(GetParam()) == "add_to_all")
    options.update({{"prelayer_mode", "add"}, {"prelayer_scope", "all"}});
  if (options["prelayer_mode"] != "concatenate") options["num_infix_tokens"] = 1;
  const test::PromptOnTinyModel tuned("pre_layer", options, test::tiny_llama_config(), at::kDouble);
  tuned.stir();
  const std::vector<Example> examples{test::example_of({1, 2, 3, 4}, 2), test::example_of({5, 6}, 0)};
  test::expect_gradients(
      *tuned.adapter.parameters,
      [&](bool backward) {
        Batch batch = test::batch_of(examples);
        tuned.adapter.method->layout(batch);
        const TargetLoss loss = batch_loss(*tuned.model, {&batch, true}, *tuned.adapter.method);
        if (backward) loss.loss.backward();
        return loss.loss.item<double>();
      },
      5);
}

INSTANTIATE_TEST_SUITE_P(All, PreLayerModes, testing::Values("replace", "add", "add_to_all", "concatenate"),
                         [](const auto& info) { return std::string(info.param); });

TEST(PreLayer, RefusesWhatCannotBe) {
  test::expect_error(ErrorKind::invalid, "concatenate", "no infix can be", [] {
    test::PromptOnTinyModel("pre_layer", {{"prelayer_mode", "concatenate"}, {"num_infix_tokens", 2}});
  });
  test::expect_error(ErrorKind::invalid, "prelayer_scope", "special rows alone", [] {
    test::PromptOnTinyModel("pre_layer", {{"prelayer_scope", "all"}});
  });
}

}  // namespace
}  // namespace lowrank
