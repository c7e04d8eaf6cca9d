// A text that outgrows the positions for which its cached keys' frequencies are valid continues as without a
// cache.
#include <ATen/ops/argmax.h>
#include <gtest/gtest.h>

#include "infer/generate.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

TEST(OutgrownCache, TextEqualsThatOfWholePasses) {
  const Tokenizer tokenizer = load_tokenizer(test::fixture("text/gpt2_small"));
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_config("phi3");
  config["original_max_position_embeddings"] = 24;
  config["vocab_size"] = tokenizer.vocabulary_size();
  test::write_tiny_model(folder.path(), config);
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_EQ(checkpoint->spec().fixed_positions, 24);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  // One is short until the end, one outgrows the 24 positions, one is long from the start.
  std::vector<std::vector<int64_t>> prompts;
  for (const Example& example : test::random_examples({3, 18, 30}, 64)) prompts.push_back(example.tokens);
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.batch_size = 3;
  options.ignore_eos = true;
  const auto generated = generate(*model, InferenceHooks(), tokenizer, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int64_t> tokens = prompts[i];
    for (int64_t step = 0; step < options.max_new_tokens; ++step) {
      const Batch batch = test::batch_of({{tokens, tokens}});
      const std::vector<int64_t> last{batch.token_count() - 1};
      tokens.push_back(at::argmax(batch_logits(*model, {&batch}, Hooks(), last, nullptr)[0]).item<int64_t>());
    }
    EXPECT_EQ(generated[i].tokens,
              std::vector<int64_t>(tokens.begin() + std::ssize(prompts[i]), tokens.end()))
        << "prompt " << i;
  }
}

}  // namespace
}  // namespace lowrank
