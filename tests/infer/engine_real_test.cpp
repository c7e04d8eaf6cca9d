// On a real model: texts are transformers', with prompts in chunks and pages that are shared and run out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "infer/engine/engine.h"
#include "support/engine_model.h"
#include "support/load_forms.h"
#include "support/places.h"

namespace lowrank {
namespace {

TEST(EngineOnSmolLm2, TextsAreTransformers) {
  const auto path = test::real_model();
  if (!path) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  const Tokenizer tokenizer = load_tokenizer(*path);
  const auto checkpoint = Checkpoint::open(*path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const nlohmann::json expected = read_json_file(test::fixture("smollm2/generation.json"), 1 << 20);
  AdapterStore store(checkpoint, 1, at::kCPU);
  EngineOptions options;
  options.page_rows = 16;
  options.cache_pages = 12;
  options.max_batch_tokens = 7;
  Engine engine(*model, tokenizer, store, options);
  std::map<uint64_t, std::string> texts;
  for (int round = 0; round < 2; ++round) {
    for (const auto& entry : expected) {
      EngineRequest request{entry["prompt_ids"].get<std::vector<int64_t>>()};
      request.max_new_tokens = 48;
      texts[engine.submit(request)] = entry["text"];
    }
  }
  const auto heard = test::run_all(engine);
  for (const auto& [number, text] : texts) EXPECT_EQ(heard.at(number).text, text) << number;
  EXPECT_GT(engine.statistics().preemptions, 0);
}

}  // namespace
}  // namespace lowrank
