#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/engine/engine.h"
#include "infer/generate.h"
#include "support/adapters.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"

namespace lowrank::test {

/// What the engine said of a request, put together.
struct Heard {
  std::string text, error;
  std::vector<int64_t> tokens;
  std::vector<ChosenToken> chosen;
  std::optional<FinishReason> finish;
  EngineEvent last;
};

/// A tiny model in f32 with a tokenizer and adapters on disk, what the engine makes of requests, and what
/// `generate` does.
class EngineModel {
 public:
  explicit EngineModel(nlohmann::json config = tiny_llama_config())
      : tokenizer(load_tokenizer(fixture("text/gpt2_small"))) {
    config["vocab_size"] = tokenizer.vocabulary_size();
    write_tiny_model(folder.path() / "model", config);
    checkpoint = Checkpoint::open(folder.path() / "model");
    LoadOptions options = in_f32();
    options.device = test_device();
    model = checkpoint->family().load(checkpoint, options);
  }

  /// Writes an adapter with random values; `name` also seeds them.
  std::filesystem::path write_adapter(const std::string& name, const nlohmann::json& options,
                                      const std::string& method = "lora", double size = 0.3) const {
    Adapter adapter = random_adapter(*checkpoint, options, method);
    const at::NoGradGuard no_grad;
    Philox random(std::hash<std::string>()(name));
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] = size * random.normal();
    save_adapter(folder.path() / name, adapter, "base");
    return folder.path() / name;
  }

  std::vector<int64_t> random_prompt(int64_t length, uint64_t seed) const {
    return random_examples({length}, tokenizer.vocabulary_size(), seed).front().tokens;
  }

  /// What `generate` makes of a request alone.
  Generation expected(const EngineRequest& request) const {
    GenerationOptions options;
    options.sampling = request.sampling;
    options.max_new_tokens = request.max_new_tokens;
    options.stop = request.stop;
    options.end_tokens = request.end_tokens;
    options.ignore_eos = request.ignore_eos;
    const std::vector<std::vector<int64_t>> prompts{request.prompt};
    if (request.adapter.empty())
      return generate(*model, InferenceHooks(), tokenizer, prompts, options).front();
    const Adapter adapter = on_test_device(load_adapter(folder.path() / request.adapter, *checkpoint));
    return generate(*model, InferenceHooks(adapter), tokenizer, prompts, options).front();
  }

  TemporaryFolder folder;
  Tokenizer tokenizer;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
};

/// Adds an event to what was heard of its request.
inline void hear(std::map<uint64_t, Heard>& all, EngineEvent event) {
  Heard& heard = all[event.request];
  EXPECT_FALSE(heard.finish.has_value()) << "an event after the last one";
  heard.text += event.text;
  for (ChosenToken& token : event.tokens) {
    heard.tokens.push_back(token.token);
    heard.chosen.push_back(std::move(token));
  }
  heard.finish = event.finish;
  heard.error = event.error;
  EXPECT_EQ(event.generated_tokens, std::ssize(heard.tokens));
  heard.last = std::move(event);
}

/// Steps until the engine is idle.
inline std::map<uint64_t, Heard> run_all(Engine& engine) {
  std::map<uint64_t, Heard> all;
  for (int64_t step = 0; !engine.idle() && step < 100'000; ++step)
    engine.step([&](EngineEvent event) { hear(all, std::move(event)); });
  EXPECT_TRUE(engine.idle());
  const EngineStatistics now = engine.statistics();
  EXPECT_EQ(now.used_pages, 0);
  EXPECT_EQ(now.free_pages + now.cached_pages, now.pages);
  return all;
}

/// Expects what `generate` makes of the request.
inline void expect_generated(const Heard& heard, const Generation& expected) {
  EXPECT_EQ(heard.tokens, expected.tokens);
  EXPECT_EQ(heard.text, expected.text);
  ASSERT_TRUE(heard.finish.has_value());
  EXPECT_EQ(*heard.finish, expected.ended ? FinishReason::stop : FinishReason::length) << heard.error;
}

}  // namespace lowrank::test
