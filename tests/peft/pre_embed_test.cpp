// PreEmbed: rows of tokens in front of the prompt and of the completion act as these tokens.
#include "support/expect_error.h"
#include "support/prompts.h"

namespace lowrank {
namespace {

constexpr const char* embeddings_key = "prompt_embeddings";

TEST(PreEmbed, PrefixAndInfixActAsTokens) {
  for (const auto& config : {test::tiny_llama_config(), test::tiny_gpt2_config()}) {
    const test::PromptOnTinyModel tuned("pre_embed", {{"num_prefix_tokens", 2}, {"num_infix_tokens", 3}},
                                        config);
    tuned.set(embeddings_key, tuned.embedded({7, 8, 9, 10, 11}));
    const at::Tensor given = tuned.losses({test::example_of({1, 2, 3, 4}, 2), test::example_of({5, 6}, 1)});
    const at::Tensor expected = tuned.base_losses(
        {test::example_of({7, 8, 1, 2, 9, 10, 11, 3, 4}, 7), test::example_of({7, 8, 5, 9, 10, 11, 6}, 6)});
    ASSERT_EQ(given.sizes(), expected.sizes());
    EXPECT_LT(test::largest_difference(given, expected), 1e-5);
    EXPECT_EQ(tuned.adapter.plan.context_rows, 5);
  }
}

TEST(PreEmbed, WithoutInfixItsFileIsPromptTunings) {
  const test::PromptOnTinyModel tuned("pre_embed", {{"num_prefix_tokens", 4}, {"num_infix_tokens", 0}});
  const std::filesystem::path folder = tuned.folder.path() / "adapter";
  save_adapter(folder, tuned.adapter, "base");
  const Adapter again = load_adapter(folder, *tuned.checkpoint);
  EXPECT_EQ(again.info->name, "prompt_tuning");
  EXPECT_EQ(again.method->form().config(), tuned.adapter.method->form().config());
  EXPECT_TRUE(again.parameters->at(embeddings_key)
                  .detach()
                  .equal(tuned.adapter.parameters->at(embeddings_key).detach()));
  const at::Tensor before = tuned.losses({test::example_of({1, 2, 3}, 1)});
  const at::NoGradGuard no_grad;
  Batch batch = test::batch_of({test::example_of({1, 2, 3}, 1)});
  again.method->layout(batch);
  EXPECT_TRUE(before.equal(batch_loss(*tuned.model, {&batch}, *again.method).nll));
}

TEST(PreEmbed, NeedsATokenAndAConsistentFile) {
  test::expect_error(ErrorKind::invalid, "num_prefix_tokens", "nothing would train", [] {
    test::PromptOnTinyModel("pre_embed", {{"num_prefix_tokens", 0}, {"num_infix_tokens", 0}});
  });
  const std::unique_ptr<Method> method = method_named("pre_embed").make();
  test::expect_error(ErrorKind::invalid, "here", "num_virtual_tokens 5", [&] {
    method->form().read_config({{"peft_type", "PRE_EMBED"},
                                {"task_type", "CAUSAL_LM"},
                                {"num_virtual_tokens", 5},
                                {"num_prefix_tokens", 2},
                                {"num_infix_tokens", 2}},
                               "here");
  });
}

}  // namespace
}  // namespace lowrank
