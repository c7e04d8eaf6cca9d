// Prompt tuning: trained rows that are those of tokens act as these tokens.
#include "base/json.h"
#include "peft/files/gguf_lora.h"
#include "peft/merge/merge.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/prompts.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

constexpr const char* key = "prompt_embeddings";

TEST(PromptTuning, RowsOfTokensActAsTheTokens) {
  for (const auto& config : {test::tiny_llama_config(), test::tiny_gpt2_config()}) {
    const test::PromptOnTinyModel tuned("prompt_tuning", {{"num_virtual_tokens", 3}}, config);
    tuned.set(key, tuned.embedded({7, 8, 9}));
    // The last row predicts the first token: as many targets as tokens.
    const at::Tensor given = tuned.losses({test::example_of({1, 2, 3, 4}, 0), test::example_of({5, 6}, 1)});
    const at::Tensor expected =
        tuned.base_losses({test::example_of({7, 8, 9, 1, 2, 3, 4}, 3), test::example_of({7, 8, 9, 5, 6}, 4)});
    ASSERT_EQ(given.sizes(), expected.sizes());
    EXPECT_LT(test::largest_difference(given, expected), 1e-5);
  }
}

TEST(PromptTuning, RowsEnterGemmasFirstLayerUnscaled) {
  const test::PromptOnTinyModel tuned("prompt_tuning", {{"num_virtual_tokens", 2}},
                                      test::tiny_gemma3_config());
  tuned.set(key, tuned.embedded({7, 8}) * std::sqrt(32.0));
  EXPECT_LT(test::largest_difference(tuned.losses({test::example_of({1, 2, 3}, 1)}),
                                     tuned.base_losses({test::example_of({7, 8, 1, 2, 3}, 3)})),
            1e-5);
}

TEST(PromptTuning, StartsFromRowsOfTheVocabularyAsTheyEnterTheModel) {
  const test::PromptOnTinyModel tuned("prompt_tuning", {{"num_virtual_tokens", 5}},
                                      test::tiny_gemma3_config());
  std::vector<int64_t> all(64);
  for (int64_t i = 0; i < 64; ++i) all[i] = i;
  const at::Tensor rows = tuned.embedded(all) * std::sqrt(32.0);
  for (int64_t i = 0; i < 5; ++i) {
    const at::Tensor distance = (rows - tuned.adapter.parameters->at(key).detach()[i]).abs().sum(1);
    EXPECT_LT(distance.min().item<double>(), 1e-4) << "row " << i;
  }
}

TEST(PromptTuning, StartsFromATextsTokensCutOrRepeated) {
  const auto path = test::real_model();
  if (!path) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  const auto base = Checkpoint::open(*path);
  const std::vector<int64_t> tokens = load_tokenizer(*path).encode("Say it in one sentence:", true);
  const TensorRef& embedding = *base->spec().find_tensor("model.embed_tokens.weight");
  for (const int64_t count : {3, 9}) {
    const MethodInfo& info = method_named("prompt_tuning");
    std::unique_ptr<Method> method = info.make();
    apply(method->fields(),
          {{"num_virtual_tokens", count},
           {"prompt_tuning_init", "text"},
           {"prompt_tuning_init_text", "Say it in one sentence:"}},
          "test");
    const Adapter adapter = make_adapter(info, std::move(method), *base);
    adapter.method->initialise(*base, 1);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t token = tokens[i % tokens.size()];
      at::Tensor row = at::empty({1, 576}, at::kFloat);
      base->read_rows(embedding, token, token + 1, row);
      EXPECT_TRUE(row[0].equal(adapter.parameters->at(key).detach()[i])) << i;
    }
    EXPECT_EQ(adapter.method->form().config()["prompt_tuning_init"], "TEXT");
    EXPECT_EQ(adapter.method->form().config()["tokenizer_name_or_path"], path->string());
  }
}

TEST(PromptTuning, TakesItsRowsFromTheContext) {
  const test::PromptOnTinyModel tuned("prompt_tuning", {{"num_virtual_tokens", 5}});
  EXPECT_EQ(tuned.adapter.plan.context_rows, 5);
  EXPECT_EQ(tuned.adapter.parameters->count(), 5 * 32);
}

TEST(PromptTuning, CannotBeMergedOrWrittenAsLora) {
  const test::PromptOnTinyModel tuned("prompt_tuning");
  test::expect_error(ErrorKind::unsupported, "merged", "rows of the input", [&] {
    merge_to_folder(*tuned.checkpoint, tuned.adapter, std::nullopt, tuned.folder.path() / "merged");
  });
  test::expect_error(ErrorKind::unsupported, "lora.gguf", "20 virtual tokens in front of the text", [&] {
    write_gguf_lora(*tuned.checkpoint, tuned.adapter, tuned.folder.path() / "lora.gguf");
  });
}

TEST(PromptTuning, WantsATaskTypeInTheFile) {
  const test::PromptOnTinyModel tuned("prompt_tuning");
  const std::filesystem::path folder = tuned.folder.path() / "adapter";
  save_adapter(folder, tuned.adapter, "base");
  nlohmann::json config = read_json_file(folder / "adapter_config.json", 1 << 20);
  EXPECT_EQ(config["token_dim"], 32);
  EXPECT_EQ(config["num_attention_heads"], 4);
  EXPECT_EQ(config["num_layers"], 2);
  EXPECT_EQ(config["num_transformer_submodules"], 1);
  config["task_type"] = nullptr;
  write_file_atomically(folder / "adapter_config.json", config.dump());
  test::expect_error(ErrorKind::invalid, "adapter_config.json", "no task_type",
                     [&] { load_adapter(folder, *tuned.checkpoint); });
}

TEST(PromptTuning, SavesModulesUnderPeftsNames) {
  const test::PromptOnTinyModel tuned("prompt_tuning", {{"modules_to_save", {"norm"}}});
  std::vector<std::string> names;
  for (const FileTensor& tensor : file_tensors(tuned.adapter)) names.push_back(tensor.name);
  EXPECT_NE(std::ranges::find(names, "base_model.model.norm.weight"), names.end());
}

}  // namespace
}  // namespace lowrank
