// Beginnings that requests share are computed once, and never shared across adapters; log-probabilities;
// failures.
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include "infer/engine/engine.h"
#include "infer/engine/log_probabilities.h"
#include "support/engine_model.h"

namespace lowrank {
namespace {

class EnginePrefix : public testing::Test {
 protected:
  void SetUp() override {
    base.write_adapter("a", {{"rank", 4}});
    base.write_adapter("b", {{"rank", 4}});
    store.emplace(base.checkpoint, 2, test::test_device());
    for (const char* name : {"a", "b"}) store->add(name, base.folder.path() / name);
    options.page_rows = 4;
    options.cache_pages = 64;
    restart();
  }

  void restart() { engine.emplace(*base.model, base.tokenizer, *store, options); }

  EngineRequest request(const std::string& adapter = "", int64_t tokens = 5) const {
    EngineRequest made;
    made.prompt = base.random_prompt(18, 5);
    made.adapter = adapter;
    made.max_new_tokens = tokens;
    made.ignore_eos = true;
    return made;
  }

  /// Runs a request to its end and compares it with generate().
  test::Heard run(const EngineRequest& one) {
    const uint64_t number = engine->submit(one);
    const auto all = test::run_all(*engine);
    test::expect_generated(all.at(number), base.expected(one));
    return all.at(number);
  }

  test::EngineModel base;
  std::optional<AdapterStore> store;
  EngineOptions options;
  std::optional<Engine> engine;
};

TEST_F(EnginePrefix, FullPagesAreTakenFromAnEarlierRequestOfTheSameAdapter) {
  EXPECT_EQ(run(request()).last.cached_tokens, 0);
  EXPECT_EQ(run(request()).last.cached_tokens, 16);
  EXPECT_EQ(run(request("a")).last.cached_tokens, 0);
  EXPECT_EQ(run(request("b")).last.cached_tokens, 0);
  EXPECT_EQ(run(request("a")).last.cached_tokens, 16);
  EngineRequest scaled = request("a");
  scaled.adapter_scale = 0.5;
  const uint64_t number = engine->submit(scaled);
  EXPECT_EQ(test::run_all(*engine).at(number).last.cached_tokens, 0);
  EngineRequest longer = request();
  const auto more = base.expected(longer).tokens;
  longer.prompt.insert(longer.prompt.end(), more.begin(), more.end());  // the next turn of a conversation
  EXPECT_EQ(run(longer).last.cached_tokens, 20);
  EXPECT_GT(engine->statistics().cached_pages, 0);
}

TEST_F(EnginePrefix, APromptThatEndsWithAFullPageIsNotTakenWhole) {
  EngineRequest one = request();
  one.prompt.resize(16);
  run(one);
  EXPECT_EQ(run(one).last.cached_tokens, 12);
}

TEST_F(EnginePrefix, WithoutSharingNothingIsUsedOrKept) {
  EngineRequest secret = request();
  secret.share_prefix = false;
  run(secret);
  EXPECT_EQ(engine->statistics().cached_pages, 0);
  run(request());
  EXPECT_EQ(run(secret).last.cached_tokens, 0);
}

TEST_F(EnginePrefix, RequestsThatComeTogetherComputeTheirBeginningOnce) {
  options.max_batch_tokens = 6;
  restart();
  std::vector<EngineRequest> all;
  std::map<uint64_t, size_t> numbers;
  for (int64_t i = 0; i < 5; ++i) {
    all.push_back(request());
    all.back().prompt.push_back(i);
    numbers[engine->submit(all.back())] = all.size() - 1;
  }
  const auto heard = test::run_all(*engine);
  int64_t cached = 0;
  for (const auto& [number, index] : numbers) {
    test::expect_generated(heard.at(number), base.expected(all[index]));
    cached += heard.at(number).last.cached_tokens;
  }
  EXPECT_EQ(cached, 4 * 16);
  EXPECT_EQ(engine->statistics().cached_tokens, 4 * 16);
  EXPECT_EQ(engine->statistics().prompt_tokens, 5 * 19);
}

TEST_F(EnginePrefix, KeptPagesMakeRoomAndAnAdapterThatChangedOnDiskSharesNothingOld) {
  options.cache_pages = 6;  // one request's
  restart();
  run(request("a"));
  EXPECT_EQ(run(request("a")).last.cached_tokens, 16);
  run(request("b"));
  EXPECT_EQ(run(request("a")).last.cached_tokens, 0);
  EXPECT_EQ(store->loads(), 2);
  options.cache_pages = 64;
  restart();
  run(request("a"));
  base.write_adapter("c", {{"rank", 4}});
  base.write_adapter("d", {{"rank", 4}});
  store->add("c", base.folder.path() / "c");
  store->add("d", base.folder.path() / "d");
  run(request("c"));
  run(request("d"));
  EXPECT_EQ(run(request("a")).last.cached_tokens, 16) << "loaded again from the same files";
  base.write_adapter("a", {{"rank", 2}});
  run(request("c"));
  run(request("d"));
  EXPECT_EQ(run(request("a")).last.cached_tokens, 0);
}

TEST_F(EnginePrefix, LogProbabilitiesAreThoseOfAWholePass) {
  EngineRequest one = request("a", 6);
  one.top_logprobs = 3;
  one.sampling.temperature = 1.5;
  one.sampling.repetition_penalty = 1.4;
  const test::Heard heard = run(one);
  const Adapter adapter = test::on_test_device(load_adapter(base.folder.path() / "a", *base.checkpoint));
  const InferenceHooks hooks(adapter);
  const at::NoGradGuard no_grad;
  std::vector<int64_t> tokens = one.prompt;
  ASSERT_EQ(heard.chosen.size(), 6U);
  for (const ChosenToken& chosen : heard.chosen) {
    const Batch batch = test::batch_of({{tokens, tokens}});
    const std::vector<int64_t> last{batch.token_count() - 1};
    const at::Tensor direct =
        at::log_softmax(batch_logits(*base.model, {&batch}, *hooks, last, nullptr)[0].to(at::kDouble), 0);
    EXPECT_NEAR(chosen.log_probability, direct[chosen.token].item<double>(), 1e-4);
    ASSERT_EQ(chosen.top.size(), 3U);
    const at::Tensor sorted = std::get<0>(direct.sort(0, true));
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(chosen.top[i].log_probability, direct[chosen.top[i].token].item<double>(), 1e-4);
      EXPECT_NEAR(chosen.top[i].log_probability, sorted[i].item<double>(), 1e-4);
    }
    tokens.push_back(chosen.token);
  }
}

TEST_F(EnginePrefix, LogitsThatAreNoNumbersEndTheirRequestAlone) {
  base.write_adapter("wild", {{"rank", 2}, {"target_modules", "all-linear"}}, "lora", 1e30);
  store->add("wild", base.folder.path() / "wild");
  const EngineRequest good = request("a");
  const uint64_t first = engine->submit(good), wild = engine->submit(request("wild")),
                 last = engine->submit(request());
  const auto heard = test::run_all(*engine);
  EXPECT_EQ(heard.at(wild).finish, FinishReason::failed);
  EXPECT_NE(heard.at(wild).error.find("the model's logit of token"), std::string::npos);
  test::expect_generated(heard.at(first), base.expected(good));
  test::expect_generated(heard.at(last), base.expected(request()));
}

/// Runs requests of these lengths on an engine with too few pages for all of them: each text must be that of
/// `generate`.
EngineStatistics expect_texts_of_generate(const test::EngineModel& base, std::span<const int64_t> lengths) {
  AdapterStore store(base.checkpoint, 1, test::test_device());
  EngineOptions options;
  options.page_rows = 5;
  options.cache_pages = 12;
  options.max_batch_tokens = 4;
  Engine engine(*base.model, base.tokenizer, store, options);
  std::vector<EngineRequest> requests;
  for (const int64_t length : lengths) {
    EngineRequest& request = requests.emplace_back();
    request.prompt = base.random_prompt(length, 3);
    request.max_new_tokens = 12;
    request.ignore_eos = true;
    engine.submit(request);
  }
  const auto heard = test::run_all(engine);
  for (size_t i = 0; i < requests.size(); ++i)
    test::expect_generated(heard.at(i + 1), base.expected(requests[i]));
  return engine.statistics();
}

TEST(EngineOutgrown, TextsThatOutgrowTheirFrequenciesAreThoseOfGenerate) {
  nlohmann::json config = test::tiny_config("phi3");
  config["original_max_position_embeddings"] = 24;
  const test::EngineModel base(config);
  ASSERT_EQ(base.checkpoint->spec().fixed_positions, 24);
  const EngineStatistics statistics = expect_texts_of_generate(base, std::array<int64_t, 4>{3, 18, 30, 8});
  EXPECT_GT(statistics.preemptions, 0);
}

TEST(EngineRecurrent, TextsOfModelsWithAStateAreThoseOfGenerateAndShareNoPages) {
  const test::EngineModel base(test::tiny_config("lfm2"));
  ASSERT_TRUE(base.checkpoint->spec().recurrent);
  const EngineStatistics statistics = expect_texts_of_generate(base, std::array<int64_t, 4>{3, 18, 30, 18});
  EXPECT_EQ(statistics.cached_tokens, 0);
  EXPECT_GT(statistics.preemptions, 0);
}

}  // namespace
}  // namespace lowrank
