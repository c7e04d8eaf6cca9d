// LoRA on experts: gradients, files in PEFT's form, merging, and the targets that mean experts.
#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "peft/bank/adapter_bank.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "peft/merge/merge.h"
#include "support/expect_error.h"
#include "support/gradient_check.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class LoraOnExperts : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    nlohmann::json config = test::tiny_config(GetParam());
    config["num_experts_per_tok"] = 2;
    test::write_tiny_model(folder_.path() / "base", config);
    checkpoint_ = Checkpoint::open(folder_.path() / "base");
    batch_ = test::batch_of(test::random_examples({7, 1, 12}, 64));
  }

  Adapter planned(const char* method, const nlohmann::json& options, at::ScalarType type = at::kFloat) const {
    const MethodInfo& info = method_named(method);
    std::unique_ptr<Method> made = info.make();
    apply(made->fields(), options, "test");
    return make_adapter(info, std::move(made), *checkpoint_, type);
  }

  /// With values that all matter.
  Adapter stirred(const nlohmann::json& options, at::ScalarType type = at::kFloat, uint64_t seed = 4) const {
    Adapter adapter = planned("lora", options, type);
    adapter.method->initialise(*checkpoint_, 3);
    const at::NoGradGuard no_grad;
    Philox random(seed);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.05 * random.normal();
    adapter.method->begin_step({});
    return adapter;
  }

  std::unique_ptr<Model> model(at::ScalarType type = at::kFloat) const {
    LoadOptions options;
    options.compute = type;
    options.training = true;
    return checkpoint_->family().load(checkpoint_, options);
  }

  static at::Tensor logits(const Model& model, const Hooks& hooks, Batch batch) {
    const at::NoGradGuard no_grad;
    hooks.layout(batch);
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < batch.token_count(); ++row) rows.push_back(row);
    return batch_logits(model, {&batch}, hooks, rows, nullptr);
  }

  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return at::max(at::abs(a - b)).item<double>();
  }

  const nlohmann::json everything_ = {{"target_modules", "gate_proj,up_proj,down_proj,gate,q_proj"},
                                      {"rank", 3}};
  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  Batch batch_;
};

TEST_P(LoraOnExperts, GradientsMatchFiniteDifferences) {
  Adapter adapter = stirred(everything_, at::kDouble);
  const auto adapted = model(at::kDouble);
  test::expect_gradients(
      *adapter.parameters,
      [&](bool backward) {
        adapter.method->begin_step({1, 1});
        const TargetLoss loss = batch_loss(*adapted, {&batch_, true}, *adapter.method);
        if (backward) {
          loss.loss.backward();
          adapter.method->end_backward();
        }
        return loss.loss.item<double>();
      },
      std::max<int64_t>(17, adapter.parameters->count() / 60));
}

TEST_P(LoraOnExperts, IsSavedInPeftsFormAndRead) {
  const Adapter adapter = stirred(everything_);
  save_adapter(folder_.path() / "adapter", adapter, "base");
  const nlohmann::json config = read_json_file(folder_.path() / "adapter/adapter_config.json", 1 << 20);
  EXPECT_EQ(config["target_modules"], nlohmann::json({"q_proj"}));
  EXPECT_EQ(config["target_parameters"], nlohmann::json({"gate_up_proj", "down_proj", "gate.weight"}));
  EXPECT_EQ(config["rank_pattern"], nlohmann::json({{".*\\.gate_up_proj", 6}}));
  EXPECT_EQ(config["alpha_pattern"], nlohmann::json({{".*\\.gate_up_proj", 32}}));
  const Adapter again = load_adapter(folder_.path() / "adapter", *checkpoint_);
  const std::string experts = "base_model.model.model.layers.0.mlp.experts.";
  EXPECT_EQ(again.parameters->at(experts + "base_layer.lora_A.weight").sizes(),
            (std::vector<int64_t>{24, 32}));
  EXPECT_EQ(again.parameters->at(experts + "base_layer.lora_B.weight").sizes(),
            (std::vector<int64_t>{32, 24}));
  EXPECT_EQ(again.parameters->at(experts + "lora_A.weight").sizes(), (std::vector<int64_t>{12, 16}));
  for (const ParameterSpec& spec : adapter.plan.parameters)
    EXPECT_TRUE(at::equal(adapter.parameters->at(spec.name), again.parameters->at(spec.name))) << spec.name;
  again.method->begin_step({});
  const auto plain = model();
  EXPECT_EQ(difference(logits(*plain, *again.method, batch_), logits(*plain, *adapter.method, batch_)), 0);
}

TEST_P(LoraOnExperts, MergedModelComputesTheSame) {
  const Adapter adapter = stirred(everything_);
  merge_to_folder(*checkpoint_, adapter, std::nullopt, folder_.path() / "merged");
  const auto merged = Checkpoint::open(folder_.path() / "merged");
  adapter.method->begin_step({});
  const auto plain = model();
  const at::Tensor expected = logits(*plain, *adapter.method, batch_);
  EXPECT_GT(difference(logits(*plain, Hooks(), batch_), expected), 1e-3);
  EXPECT_LT(difference(logits(*merged->family().load(merged, test::in_f32()), Hooks(), batch_), expected),
            1e-4);
}

/// Experts see the tokens of all sequences mixed; each takes its own adapter's factors.
TEST_P(LoraOnExperts, AdaptersOfABankStayApart) {
  const auto plain = model();
  const at::Tensor base = logits(*plain, Hooks(), batch_);
  std::vector<at::Tensor> alone;
  AdapterBank bank;
  for (const uint64_t seed : {4, 9}) {
    Adapter adapter = stirred(everything_, at::kFloat, seed);
    alone.push_back(logits(*plain, *adapter.method, batch_));
    bank.add("a" + std::to_string(seed), std::move(adapter));
  }
  Batch mixed = batch_;
  mixed.adapters = {no_adapter, 0, 1};
  const at::Tensor found = logits(*plain, bank, mixed);
  EXPECT_GT(difference(alone[0], alone[1]), 1e-3);
  const auto rows = [&](const at::Tensor& of, int64_t s) {
    return of.narrow(0, batch_.offsets[s], batch_.offsets[s + 1] - batch_.offsets[s]);
  };
  EXPECT_LT(difference(rows(found, 0), rows(base, 0)), 2e-5);
  EXPECT_LT(difference(rows(found, 1), rows(alone[0], 1)), 2e-5);
  EXPECT_LT(difference(rows(found, 2), rows(alone[1], 2)), 2e-5);
}

TEST_P(LoraOnExperts, TargetsThatCannotBeAreRefused) {
  const auto refused = [&](ErrorKind kind, const char* method, const nlohmann::json& options,
                           const char* part) {
    test::expect_error(kind, "target_", part, [&] { planned(method, options); });
  };
  refused(ErrorKind::invalid, "lora", {{"target_modules", "gate_proj,q_proj"}}, "both gate_proj and up_proj");
  refused(ErrorKind::invalid, "lora", {{"target_parameters", {"experts.gate_proj"}}},
          "mlp.experts.down_proj");
  refused(ErrorKind::unsupported, "lora", {{"target_parameters", {"experts.down_proj"}}, {"dropout", 0.1}},
          "without dropout");
  refused(ErrorKind::unsupported, "dora", {{"target_parameters", {"experts.down_proj"}}}, "only plain LoRA");
  const std::string name = GetParam() == std::string("mixtral") ? "w2" : "down_proj";
  refused(ErrorKind::unsupported, "dora", {{"target_modules", name}}, "a mixture of experts");
}

INSTANTIATE_TEST_SUITE_P(Families, LoraOnExperts, testing::Values("mixtral", "qwen3_moe"),
                         [](const auto& info) { return std::string(info.param); });

Adapter stirred_lora(const Checkpoint& checkpoint, const nlohmann::json& options) {
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> made = info.make();
  apply(made->fields(), options, "test");
  Adapter adapter = make_adapter(info, std::move(made), checkpoint);
  const at::NoGradGuard no_grad;
  adapter.parameters->values().uniform_(-0.1, 0.1);
  adapter.method->begin_step({});
  return adapter;
}

/// gpt-oss's folders stack experts transposed, gate and up in turns.
TEST(LoraOnGptOss, MergingWritesStacks) {
  const test::TemporaryFolder folder;
  const auto checkpoint = Checkpoint::open(test::fixture("families/gpt_oss"));
  const auto base = checkpoint->family().load(checkpoint, test::in_f32());
  const Batch batch = test::batch_of(test::random_examples({9, 5}, 128));
  const at::NoGradGuard no_grad;
  const auto logits = [&](const Model& model, const Hooks& hooks) {
    return batch_logits(model, {&batch}, hooks, std::vector<int64_t>{3, 8, 13}, nullptr);
  };
  const Adapter adapter = stirred_lora(*checkpoint, {{"rank", 2}});
  const at::Tensor expected = logits(*base, *adapter.method);
  EXPECT_GT(at::max(at::abs(expected - logits(*base, Hooks()))).item<double>(), 1e-2);
  merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged");
  const auto merged = Checkpoint::open(folder.path() / "merged");
  EXPECT_EQ(merged->rearranged_stacks().size(), checkpoint->rearranged_stacks().size());
  const at::Tensor found = logits(*merged->family().load(merged, test::in_f32()), Hooks());
  EXPECT_LT(at::max(at::abs(expected - found)).item<double>(), 1e-4);
  const Adapter deeper = stirred_lora(
      *checkpoint, {{"target_parameters", {"experts.gate_up_proj", "experts.down_proj", "router.weight"}}});
  const at::Tensor deep = logits(*base, *deeper.method);
  EXPECT_GT(at::max(at::abs(deep - logits(*base, Hooks()))).item<double>(), 1e-2);
  const MergeResult result = merge_to_folder(*checkpoint, deeper, std::nullopt, folder.path() / "deep");
  EXPECT_EQ(result.types.at("F32"), 3 * checkpoint->spec().layers);
  const auto changed = Checkpoint::open(folder.path() / "deep");
  EXPECT_TRUE(changed->is_rearranged(
      *changed->spec().find_tensor("model.layers.0.mlp.experts.gate_up_proj.0.up_proj.weight")));
  EXPECT_LT(at::max(at::abs(deep - logits(*changed->family().load(changed, test::in_f32()), Hooks())))
                .item<double>(),
            1e-4);
}

/// Writes a tiny gpt-oss whose experts' matrices are random MXFP4, as its configuration says.
void write_mxfp4(const std::filesystem::path& folder) {
  nlohmann::json config = test::tiny_config("gpt_oss");
  config["intermediate_size"] = 32;
  config["quantization_config"] = {{"quant_method", "mxfp4"}};
  test::write_tiny_model(folder / "plain", config);
  const SafetensorsFile file = SafetensorsFile::open(folder / "plain/model.safetensors");
  std::vector<StoredTensor> tensors;
  std::vector<std::vector<std::byte>> contents;
  Philox random(3);
  const auto add_random = [&](const std::string& name, std::vector<int64_t> shape, int64_t least,
                              int64_t most) {
    for (std::byte& byte : contents.emplace_back(*element_count(shape)))
      byte = static_cast<std::byte>(least + static_cast<int64_t>(random.below(most - least + 1)));
    tensors.push_back({name, DType::u8, std::move(shape), {}});
  };
  for (const StoredTensor& tensor : file.tensors()) {
    const bool matrix =
        tensor.name.find(".experts.") != std::string::npos && tensor.name.ends_with(".weight");
    if (matrix) continue;
    tensors.push_back(tensor);
    contents.emplace_back(tensor.bytes.begin(), tensor.bytes.end());
  }
  for (const std::string layer : {"model.layers.0.mlp.experts.", "model.layers.1.mlp.experts."}) {
    for (const auto& [name, rows] : {std::pair{"gate_up_proj", 64}, std::pair{"down_proj", 32}}) {
      add_random(layer + name + "_blocks", {4, rows, 1, 16}, 0, 255);
      add_random(layer + name + "_scales", {4, rows, 1}, 122, 124);
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = contents[i];
  write_safetensors(folder / "model.safetensors", tensors);
  std::filesystem::copy_file(folder / "plain/config.json", folder / "config.json");
}

/// Experts in MXFP4 are copied, or all of them are expanded to BF16, which holds their values exactly.
TEST(LoraOnGptOss, Mxfp4StaysWhereNoExpertChanges) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "base");
  write_mxfp4(folder.path() / "base");
  const auto base = Checkpoint::open(folder.path() / "base");
  const std::string stack = "model.layers.1.mlp.experts.gate_up_proj";
  const auto merged = [&](const char* name, const nlohmann::json& options) {
    const Adapter adapter = stirred_lora(*base, options);
    merge_to_folder(*base, adapter, std::nullopt, folder.path() / name);
    return Checkpoint::open(folder.path() / name);
  };
  const auto copied = merged("copied", {{"rank", 2}});
  EXPECT_EQ(copied->spec().config["quantization_config"]["quant_method"], "mxfp4");
  const auto has = [](const Checkpoint& checkpoint, const std::string& name) {
    return std::ranges::any_of(checkpoint.rearranged_stacks(),
                               [&](const StoredTensor* s) { return s->name == name; });
  };
  EXPECT_TRUE(has(*copied, stack + "_blocks") && has(*copied, stack + "_scales"));
  const auto expanded = merged("expanded", {{"target_parameters", {"0.mlp.experts.down_proj"}}});
  EXPECT_FALSE(expanded->spec().config.contains("quantization_config"));
  EXPECT_TRUE(has(*expanded, stack));
  EXPECT_FALSE(has(*expanded, stack + "_blocks"));
  const auto values = [](const Checkpoint& checkpoint, const char* name) {
    return checkpoint.read(*checkpoint.spec().find_tensor(name), at::kFloat);
  };
  for (const char* same : {"model.layers.0.mlp.experts.gate_up_proj.1.up_proj.weight",
                           "model.layers.1.mlp.experts.down_proj.2.down_proj.weight"})
    EXPECT_TRUE(at::equal(values(*base, same), values(*expanded, same))) << same;
  const char* other = "model.layers.0.mlp.experts.down_proj.2.down_proj.weight";
  EXPECT_FALSE(at::equal(values(*base, other), values(*expanded, other)));
}

}  // namespace
}  // namespace lowrank
