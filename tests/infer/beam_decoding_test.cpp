// Beam search with models: texts and scores are transformers', whatever is computed together, and with or
// without a cache.
#include "infer/beam_decoding.h"

#include <numeric>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "peft/bank/adapter_bank.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/test_device.h"

namespace lowrank {
namespace {

/// A tokenizer whose texts end nowhere.
Tokenizer endless_tokenizer() {
  TokenizerSpec spec = load_tokenizer(test::fixture("text/gpt2_small")).spec();
  spec.end_tokens.clear();
  return {std::move(spec), "test"};
}

struct WithoutCache : Hooks {
  bool can_cache() const override { return false; }
};

/// Texts as the reference has them: with the token that ended them.
struct ReferenceText {
  std::vector<int64_t> tokens;
  bool ended;
  std::optional<double> score;
};

class BeamsOf : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    reference = read_json_file(test::fixture(fmt::format("beams/{}.json", GetParam())), 1 << 20);
    prompts = reference["prompts"];
    const auto checkpoint = Checkpoint::open(test::fixture(reference["model"].get<std::string>()));
    LoadOptions form = test::in_f32();
    form.device = test::test_device();
    model = checkpoint->family().load(checkpoint, form);
  }

  GenerationOptions options_of(const nlohmann::json& entry) const {
    GenerationOptions options;
    options.end_tokens = reference["end_tokens"].get<std::vector<int64_t>>();
    apply(options.fields(), entry["settings"], "settings");
    return options;
  }

  static std::vector<ReferenceText> texts_of(const nlohmann::json& prompt, const GenerationOptions& options) {
    std::vector<ReferenceText> texts;
    for (const auto& text : prompt) {
      ReferenceText one{text["ids"], false, {}};
      if (text.contains("score")) one.score = text["score"].get<double>();
      one.ended = !options.ignore_eos &&
                  std::ranges::find(options.end_tokens, one.tokens.back()) != options.end_tokens.end();
      if (one.ended) one.tokens.pop_back();
      texts.push_back(std::move(one));
    }
    return texts;
  }

  static void expect_texts(const std::vector<Generation>& made, const nlohmann::json& entry,
                           const GenerationOptions& options) {
    for (size_t prompt = 0; prompt < made.size(); ++prompt) {
      SCOPED_TRACE(fmt::format("{}, prompt {}", entry["settings"].dump(), prompt));
      const std::vector<ReferenceText> texts = texts_of(entry["texts"][prompt], options);
      ASSERT_EQ(made[prompt].others.size() + 1, texts.size());
      for (size_t i = 0; i < texts.size(); ++i) {
        const Generation& one = i == 0 ? made[prompt] : made[prompt].others[i - 1];
        EXPECT_EQ(one.tokens, texts[i].tokens);
        EXPECT_EQ(one.ended, texts[i].ended);
        // Reached: 4e-6.
        if (texts[i].score) {
          EXPECT_NEAR(one.score, *texts[i].score, 2e-5 * std::max(1.0, std::abs(*texts[i].score)));
        }
      }
    }
  }

  Tokenizer tokenizer = endless_tokenizer();
  nlohmann::json reference;
  std::vector<std::vector<int64_t>> prompts;
  std::unique_ptr<Model> model;
};

TEST_P(BeamsOf, TextsAndScoresAreTransformersTogetherAndAlone) {
  for (const int64_t batch_size : {4, 1}) {
    for (const auto& entry : reference["cases"]) {
      GenerationOptions options = options_of(entry);
      options.batch_size = batch_size;
      expect_texts(generate(*model, InferenceHooks(), tokenizer, prompts, options), entry, options);
    }
  }
}

TEST_P(BeamsOf, TextsAndScoresAreTheSameWithoutACache) {
  const at::NoGradGuard no_grad;
  std::vector<BeamPrompt> given;
  given.reserve(prompts.size());
  for (const auto& prompt : prompts) given.push_back({std::ssize(given), &prompt, no_adapter, {}});
  for (const auto& entry : reference["cases"]) {
    const GenerationOptions options = options_of(entry);
    if (options.beams.any())
      expect_texts(decode_beams(*model, WithoutCache(), tokenizer, given, options), entry, options);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, BeamsOf,
                         testing::Values("qwen3", "mistral", "gemma3", "gpt2", "lfm2", "qwen3_5"),
                         [](const auto& info) { return std::string(info.param); });

class Beams : public testing::Test {
 protected:
  Beams() : folder("tiny_decoders/qwen3"), checkpoint(Checkpoint::open(test::fixture(folder))) {
    model = checkpoint->family().load(checkpoint, test::in_f32());
    for (const Example& example : test::random_examples({3, 18, 40}, 96)) prompts.push_back(example.tokens);
    options.beams.num_beams = 4;
    options.max_new_tokens = 12;
  }

  std::vector<Generation> made(const InferenceHooks& hooks = InferenceHooks()) const {
    return generate(*model, hooks, tokenizer, prompts, options);
  }

  std::string folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  Tokenizer tokenizer = endless_tokenizer();
  std::vector<std::vector<int64_t>> prompts;
  GenerationOptions options;
};

void expect_same(const Generation& a, const Generation& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_NEAR(a.score, b.score, 1e-5);
}

TEST_F(Beams, TheBestTextIsTheLikeliestOfThoseThatAreFound) {
  options.beams.num_return_sequences = 4;
  const auto texts = made();
  for (const Generation& best : texts) {
    float last = best.score;
    for (const Generation& other : best.others) {
      EXPECT_LE(other.score, last);
      EXPECT_NE(other.tokens, best.tokens);
      last = other.score;
    }
  }
}

TEST_F(Beams, EachPromptHasItsOwnAdapter) {
  AdapterBank bank;
  bank.add("a", test::random_adapter(*checkpoint, {{"rank", 2}, {"alpha", 64}}));
  bank.add("b", test::random_adapter(*checkpoint, {{"num_virtual_tokens", 3}}, "prompt_tuning"));
  const InferenceHooks hooks(bank);
  const std::vector<std::vector<int64_t>> same{prompts[1], prompts[1], prompts[1], prompts[1]};
  prompts = same;
  options.adapters = {1, 0, no_adapter, 1};
  const auto together = made(hooks);
  EXPECT_NE(together[0].tokens, together[2].tokens);
  EXPECT_NE(together[1].tokens, together[2].tokens);
  expect_same(together[0], together[3]);
  options.batch_size = 1;
  const auto alone = made(hooks);
  for (size_t i = 0; i < alone.size(); ++i) expect_same(together[i], alone[i]);
  const auto plain = made();
  expect_same(together[2], plain[2]);
}

TEST_F(Beams, VirtualTokensThatAreTheBeginningGiveTheSameText) {
  const std::vector<int64_t> beginning(prompts[2].begin(), prompts[2].begin() + 20);
  Adapter adapter = test::random_adapter(*checkpoint, {{"num_virtual_tokens", 20}}, "prompt_tuning");
  const at::NoGradGuard no_grad;
  const at::Tensor rows = adapter.parameters->at("prompt_embeddings").detach();
  for (int64_t i = 0; i < std::ssize(beginning); ++i) {
    at::Tensor row = rows.narrow(0, i, 1);
    checkpoint->read_rows(*checkpoint->spec().find_tensor("model.embed_tokens.weight"), beginning[i],
                          beginning[i] + 1, row);
  }
  const auto whole = made();
  prompts[2].erase(prompts[2].begin(), prompts[2].begin() + 20);
  expect_same(made(InferenceHooks(adapter))[2], whole[2]);
}

TEST_F(Beams, AStopTextEndsATextAndIsLeftOut) {
  const std::string whole = made()[0].text;
  ASSERT_GT(whole.size(), 4);
  options.stop = {whole.substr(whole.size() / 2, 2)};
  // Without a division by their lengths, texts that end early are the likeliest.
  options.beams.length_penalty = 0;
  options.beams.num_return_sequences = 4;
  std::string shown;
  const auto texts = generate(*model, InferenceHooks(), tokenizer, prompts, options,
                              [&](int64_t prompt, const std::string& text) {
                                if (prompt == 0) shown += text;
                              });
  EXPECT_EQ(shown, texts[0].text);
  std::vector<Generation> all = texts[0].others;
  all.insert(all.end(), texts.begin(), texts.end());
  bool some = false;
  for (const Generation& one : all) {
    EXPECT_EQ(one.text.find(options.stop[0]), std::string::npos);
    if (!one.ended) continue;
    some = true;
    EXPECT_NE(tokenizer.decode(one.tokens, true).find(options.stop[0]), std::string::npos);
  }
  EXPECT_TRUE(some);
}

TEST_F(Beams, TextsEndWhereTheContextDoes) {
  prompts = {test::random_examples({250}, 96).front().tokens};
  const auto texts = made();
  EXPECT_EQ(texts[0].tokens.size(), 6);
  EXPECT_FALSE(texts[0].ended);
  options.max_new_tokens = 0;
  EXPECT_TRUE(made()[0].tokens.empty());
  prompts = {test::random_examples({256}, 96).front().tokens};
  test::expect_error(ErrorKind::invalid, "", "prompt 1 has 256 tokens, the model's context 256",
                     [&] { made(); });
}

TEST_F(Beams, OptionsThatContradictEachOtherAreRefused) {
  const auto refused = [&](const char* part, const nlohmann::json& given) {
    GenerationOptions bad;
    apply(bad.fields(), given, "test");
    test::expect_error(ErrorKind::invalid, "", part,
                       [&] { generate(*model, InferenceHooks(), tokenizer, prompts, bad); });
  };
  refused("`num_return_sequences` is 3, but `num_beams` 2", {{"num_beams", 2}, {"num_return_sequences", 3}});
  refused("`length_penalty` is for beam search", {{"length_penalty", 0.5}});
  refused("`early_stopping` is for beam search", {{"early_stopping", true}});
  refused("`temperature` above 0 draws tokens", {{"num_beams", 2}, {"temperature", 0.5}});
  refused("`min_new_tokens` is 9, but `max_new_tokens` 8", {{"min_new_tokens", 9}, {"max_new_tokens", 8}});
}

TEST_F(Beams, NothingIsFoundWhereNoTokenMayFollow) {
  prompts = {std::vector<int64_t>(96)};
  std::iota(prompts[0].begin(), prompts[0].end(), 0);
  options.sampling.no_repeat_ngram_size = 1;
  test::expect_error(ErrorKind::invalid, "", "prompt 1: after 96 tokens no other may follow",
                     [&] { made(); });
}

TEST(BeamsOfSmolLM2, TextsAreTransformersTogetherAndAlone) {
  const auto path = test::real_model();
  if (!path) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  const auto checkpoint = Checkpoint::open(*path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const nlohmann::json reference = read_json_file(test::fixture("smollm2/beams.json"), 1 << 20);
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& text : reference["texts"]) prompts.push_back(text["prompt_ids"]);
  GenerationOptions options;
  apply(options.fields(), reference["settings"], "settings");
  for (const int64_t batch_size : {16, 1}) {
    options.batch_size = batch_size;
    const auto made = generate(*model, InferenceHooks(), load_tokenizer(*path), prompts, options);
    for (size_t i = 0; i < made.size(); ++i) {
      EXPECT_EQ(made[i].text, reference["texts"][i]["text"].get<std::string>()) << i;
      // Reached: 1e-6.
      EXPECT_NEAR(made[i].score, reference["texts"][i]["score"].get<double>(), 2e-5) << i;
    }
  }
}

TEST(BeamsInAnOutgrownCache, TextEqualsThatOfWholePasses) {
  const at::NoGradGuard no_grad;
  const Tokenizer tokenizer = endless_tokenizer();
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_config("phi3");
  config["original_max_position_embeddings"] = 24;
  config["vocab_size"] = tokenizer.vocabulary_size();
  test::write_tiny_model(folder.path(), config);
  const auto checkpoint = Checkpoint::open(folder.path());
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<std::vector<int64_t>> prompts;
  std::vector<BeamPrompt> given;
  const auto examples = test::random_examples({3, 18, 30}, 64);
  prompts.reserve(examples.size());
  given.reserve(examples.size());
  for (const Example& example : examples) prompts.push_back(example.tokens);
  for (const auto& prompt : prompts) given.push_back({std::ssize(given), &prompt, no_adapter, {}});
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.beams.num_beams = 3;
  const auto cached = decode_beams(*model, Hooks(), tokenizer, given, options);
  const auto whole = decode_beams(*model, WithoutCache(), tokenizer, given, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(cached[i].tokens.size(), 12);
    expect_same(cached[i], whole[i]);
  }
}

}  // namespace
}  // namespace lowrank
