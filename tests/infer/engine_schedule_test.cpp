// Whatever else runs, however prompts are cut and pages run out: a request's text is what generate() gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "infer/engine/engine.h"
#include "support/engine_model.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

/// Requests with their results by generate(), computed once for all schedules.
class EngineSchedules : public testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() {
    base = std::make_unique<test::EngineModel>();
    base->write_adapter("a", {{"rank", 4}});
    base->write_adapter("b", {{"rank", 2}, {"target_modules", "all-linear"}});
    base->write_adapter("scales", nlohmann::json::object(), "ia3");
    base->write_adapter("prompt", {{"num_virtual_tokens", 3}}, "prompt_tuning");
    base->write_adapter("prefix", {{"num_virtual_tokens", 2}}, "prefix_tuning");
    base->write_adapter("rows", {{"num_prefix_tokens", 1}, {"prelayer_mode", "concatenate"}}, "pre_layer");
    const char* adapters[] = {"", "a", "b", "scales", "prompt", "prefix", "a", "rows", "b", ""};
    Philox random(11);
    for (int i = 0; i < 20; ++i) {
      EngineRequest& request = requests.emplace_back();
      request.prompt = base->random_prompt(9, i % 3);  // several begin alike
      const auto own = base->random_prompt(1 + static_cast<int64_t>(random.below(12)), 100 + i);
      request.prompt.insert(request.prompt.end(), own.begin(), own.end());
      request.adapter = adapters[i % 10];
      request.max_new_tokens = 1 + static_cast<int64_t>(random.below(14));
      request.ignore_eos = i % 4 != 0;
      if (i % 3 == 1) {
        request.sampling.temperature = 1.2;
        request.sampling.top_k = 20;
        request.sampling.seed = i;
      }
      if (i % 5 == 2) request.sampling.repetition_penalty = 1.3;
      expected.push_back(base->expected(request));
      if (i % 6 != 3 || expected.back().text.size() < 4) continue;
      request.stop = {expected.back().text.substr(expected.back().text.size() / 2, 2)};
      expected.back() = base->expected(request);
    }
  }
  static void TearDownTestSuite() {
    base.reset();
    requests.clear();
    expected.clear();
  }

  static inline std::unique_ptr<test::EngineModel> base;
  static inline std::vector<EngineRequest> requests;
  static inline std::vector<Generation> expected;
};

TEST_P(EngineSchedules, TextsAreThoseOfGenerate) {
  Philox random(static_cast<uint64_t>(GetParam()));
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random.below(n)); };
  EngineOptions options;
  options.max_batch_tokens = 1 + below(GetParam() % 2 ? 5 : 40);
  options.max_sequences = 1 + below(8);
  options.page_rows = 1 + below(9);
  // At least what the longest request needs.
  options.cache_pages = (40 + options.page_rows - 1) / options.page_rows + below(GetParam() % 3 ? 8 : 80);
  AdapterStore store(base->checkpoint, 1 + below(7), test::test_device());
  for (const char* name : {"a", "b", "scales", "prompt", "prefix", "rows"})
    store.add(name, base->folder.path() / name);
  Engine engine(*base->model, base->tokenizer, store, options);
  std::map<uint64_t, size_t> numbers;
  std::map<uint64_t, test::Heard> all;
  for (size_t next = 0; next < requests.size() || !engine.idle();) {
    while (next < requests.size() && below(3) == 0) {
      EngineRequest request = requests[next];
      request.share_prefix = below(4) != 0;
      numbers[engine.submit(request)] = next++;
    }
    engine.step([&](EngineEvent event) { test::hear(all, std::move(event)); });
    const EngineStatistics now = engine.statistics();
    ASSERT_EQ(now.used_pages + now.cached_pages + now.free_pages, now.pages);
    ASSERT_LE(now.running, options.max_sequences);
    ASSERT_LT(now.steps, 20'000);
  }
  ASSERT_EQ(all.size(), requests.size());
  for (const auto& [number, index] : numbers) {
    SCOPED_TRACE(fmt::format("request {} ({})", index, requests[index].adapter));
    test::expect_generated(all.at(number), expected[index]);
    EXPECT_EQ(all.at(number).last.prompt_tokens, std::ssize(requests[index].prompt));
  }
  const EngineStatistics now = engine.statistics();
  EXPECT_EQ(now.used_pages, 0);
  EXPECT_EQ(now.finished, std::ssize(requests));
}

INSTANTIATE_TEST_SUITE_P(Random, EngineSchedules, testing::Range(0, 24));

TEST_F(EngineSchedules, CancellingEndsARequestAtAnyMomentAndNoOther) {
  for (int64_t moment = 0; moment < 12; ++moment) {
    SCOPED_TRACE(moment);
    AdapterStore store(base->checkpoint, 4, test::test_device());
    store.add("a", base->folder.path() / "a");
    store.add("b", base->folder.path() / "b");
    EngineOptions options;
    options.page_rows = 3;
    options.cache_pages = 20;
    options.max_batch_tokens = 4;
    Engine engine(*base->model, base->tokenizer, store, options);
    std::vector<uint64_t> numbers;
    for (const size_t index : {0, 1, 2}) numbers.push_back(engine.submit(requests[index]));
    std::map<uint64_t, test::Heard> all;
    const auto listen = [&](EngineEvent event) { test::hear(all, std::move(event)); };
    for (int64_t step = 0; step < moment; ++step) engine.step(listen);
    const bool ended = all[numbers[1]].finish.has_value();
    engine.cancel(numbers[1]);
    engine.cancel(999);
    engine.step(listen);
    EXPECT_TRUE(all[numbers[1]].finish == FinishReason::cancelled || ended);
    while (!engine.idle()) engine.step(listen);
    EXPECT_EQ(engine.statistics().used_pages, 0);
    test::expect_generated(all[numbers[0]], expected[0]);
    test::expect_generated(all[numbers[2]], expected[2]);
  }
}

TEST_F(EngineSchedules, RequestsThatCannotRunAreRefused) {
  AdapterStore store(base->checkpoint, 4, test::test_device());
  store.add("a", base->folder.path() / "a");
  store.add("scales", base->folder.path() / "scales");
  EngineOptions options;
  options.page_rows = 4;
  options.cache_pages = 5;
  Engine engine(*base->model, base->tokenizer, store, options);
  const auto refused = [&](ErrorKind kind, const std::string& text, EngineRequest request) {
    test::expect_error(kind, "", text, [&] { engine.submit(std::move(request)); });
  };
  refused(ErrorKind::invalid, "no tokens", {{}});
  refused(ErrorKind::invalid, "the cache holds 20", {base->random_prompt(19, 1)});
  refused(ErrorKind::invalid, "the token -1", {{-1}});
  refused(ErrorKind::invalid, "the model's context", {std::vector<int64_t>(5000, 1)});
  refused(ErrorKind::not_found, "did you mean \"a\"", {{1}, "aa"});
  EngineRequest scaled{{1}, "scales"};
  scaled.adapter_scale = 2;
  refused(ErrorKind::unsupported, "no scale", scaled);
  EXPECT_TRUE(engine.idle());
}

}  // namespace
}  // namespace lowrank
