// Adapters of mlx-lm: the same numbers as the PEFT folder of the same factors, and what is refused.
#include "peft/files/mlx_adapter.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "formats/safetensors_writer.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

/// The parameter: is the head tied?
class MlxAdapter : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    nlohmann::json config = test::tiny_llama_config();
    config["tie_word_embeddings"] = GetParam();
    test::write_tiny_model(folder_.path() / "base", config);
    base_ = Checkpoint::open(folder_.path() / "base");
    std::filesystem::create_directory(path());
  }

  std::filesystem::path path() const { return folder_.path() / "mlx"; }

  /// Writes an adapter's factors as mlx-lm stores them, and its scale into the configuration.
  void take(const Adapter& adapter) {
    tensors_.clear();
    for (const LowRankUpdate& update : adapter.method->low_rank_form().updates) {
      const std::string& name = update.module->name;
      tensors_[name + ".lora_a"] = update.a.detach().t().contiguous();
      tensors_[name + ".lora_b"] = update.b.detach().t().contiguous();
      parameters_["rank"] = update.rank;
      parameters_["scale"] = update.alpha / static_cast<double>(update.rank);
    }
  }

  void write() const {
    std::vector<StoredTensor> stored;
    for (const auto& [name, values] : tensors_) {
      const std::span<const float> data(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()));
      stored.push_back({name, DType::f32, values.sizes().vec(), std::as_bytes(data)});
    }
    write_safetensors(path() / "adapters.safetensors", stored);
    nlohmann::json config = config_;
    config["lora_parameters"] = parameters_;
    write_file_atomically(path() / "adapter_config.json", config.dump());
  }

  void refused(ErrorKind kind, const char* file, const char* part) const {
    write();
    test::expect_error(kind, file, part, [&] { load_adapter(path(), *base_); });
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
  std::map<std::string, at::Tensor> tensors_;
  nlohmann::json parameters_ = {{"dropout", 0.05}};
  nlohmann::json config_ = {{"fine_tune_type", "lora"}, {"num_layers", -1}, {"iters", 100}};
};

TEST_P(MlxAdapter, GivesTheSameNumbersAsTheFactorsInPeftsFolder) {
  const Adapter adapter = test::random_adapter(*base_, {{"target_modules", "q_proj,down_proj,embed_tokens"},
                                                        {"rank", 3},
                                                        {"alpha", 60},
                                                        {"ensure_weight_tying", GetParam()}});
  take(adapter);
  parameters_["keys"] = {"self_attn.q_proj", "mlp.down_proj", "model.embed_tokens"};
  write();
  const Adapter read = load_adapter(path(), *base_);
  EXPECT_LT(
      test::largest_difference(test::logits_of(base_, *read.method), test::logits_of(base_, *adapter.method)),
      1e-6);
  EXPECT_EQ(read.method->form().config()["lora_alpha"], 60);
  EXPECT_EQ(read.method->form().config()["lora_dropout"], 0.05);
}

TEST_P(MlxAdapter, WithoutKeysAndWithTheLastLayersOnly) {
  take(test::random_adapter(*base_, {{"target_modules", "all-linear"}, {"layers_to_transform", {1}}}));
  config_["num_layers"] = 1;
  write();
  EXPECT_EQ(load_adapter(path(), *base_).plan.targets.size(), 7);
}

TEST_P(MlxAdapter, TensorsThatDoNotFitAreNamedAtOnce) {
  take(test::random_adapter(*base_, {{"target_modules", "q_proj"}, {"rank", 2}}));
  auto node = tensors_.extract("model.layers.0.self_attn.q_proj.lora_a");
  node.key() = "model.layers.0.self_attn.q_prj.lora_a";
  tensors_.insert(std::move(node));
  at::Tensor& a = tensors_["model.layers.1.self_attn.q_proj.lora_a"];
  a = a.t().contiguous();
  refused(
      ErrorKind::invalid, "adapters.safetensors",
      "unexpected model.layers.0.self_attn.q_prj.lora_a (nearest: model.layers.0.self_attn.q_proj.lora_a); "
      "missing model.layers.0.self_attn.q_proj.lora_a; model.layers.1.self_attn.q_proj.lora_a [2, 32] and "
      "model.layers.1.self_attn.q_proj.lora_b [2, 32] where [32, r] and [r, 32] are expected");
}

TEST_P(MlxAdapter, WhatTheConfigurationDoesNotSayIsRefused) {
  take(test::random_adapter(*base_, {{"target_modules", "q_proj,v_proj"}, {"rank", 2}}));
  config_["num_layers"] = 1;
  parameters_["keys"] = {"self_attn.q_proj", "self_attn.k_proj"};
  refused(
      ErrorKind::invalid, "adapters.safetensors",
      "unexpected model.layers.0.self_attn.q_proj.lora_a; unexpected model.layers.0.self_attn.v_proj.lora_a; "
      "missing model.layers.1.self_attn.k_proj.lora_a; unexpected model.layers.1.self_attn.v_proj.lora_a");
  parameters_.erase("keys");
  config_["num_layers"] = -1;
  parameters_["rank"] = 4;
  refused(ErrorKind::invalid, "adapters.safetensors",
          "model.layers.0.self_attn.q_proj has rank 2 where 4 is expected");
}

TEST_P(MlxAdapter, OtherKindsOfTuningAndAmbiguousScales) {
  take(test::random_adapter(*base_, {{"target_modules", "q_proj"}, {"rank", 2}}));
  for (const char* type : {"dora", "full"}) {
    config_["fine_tune_type"] = type;
    refused(ErrorKind::unsupported, "adapter_config.json", type);
  }
  config_["fine_tune_type"] = "lora";
  parameters_["alpha"] = 16;
  refused(ErrorKind::unsupported, "adapter_config.json", "lora_parameters.alpha 16 beside scale");
  parameters_["alpha"] = 2;
  write();
  load_adapter(path(), *base_);
  parameters_["scale"] = "20";
  parameters_["rnk"] = 2;
  refused(ErrorKind::invalid, "adapter_config.json", "did you mean");
  parameters_.erase("rnk");
  parameters_.erase("scale");
  refused(ErrorKind::invalid, "adapter_config.json", "no lora_parameters.scale");
}

TEST_P(MlxAdapter, ValuesThatAreNotFinite) {
  take(test::random_adapter(*base_, {{"target_modules", "q_proj"}, {"rank", 2}}));
  tensors_["model.layers.0.self_attn.q_proj.lora_b"].fill_(NAN);
  refused(ErrorKind::corrupt, "adapters.safetensors", "not finite in model.layers.0.self_attn.q_proj.lora_b");
}

INSTANTIATE_TEST_SUITE_P(Heads, MlxAdapter, testing::Bool(),
                         [](const auto& info) { return info.param ? "tied" : "untied"; });

}  // namespace
}  // namespace lowrank
