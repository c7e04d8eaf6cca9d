// LoRA adapters that PEFT wrote for the families: losses of two texts and the norm of each factor's gradient.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"
#include "peft/files/adapter_file.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// A checkpoint and the name of its adapter.
using AdapterOf = std::pair<const char*, const char*>;

class GoldenFamilyAdapter : public testing::TestWithParam<AdapterOf> {};

TEST_P(GoldenFamilyAdapter, LossesAndGradientsArePefts) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const auto [family, name] = GetParam();
  const std::filesystem::path folder = *shared / "golden/families" / family;
  nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const bool multimodal = expected.contains("same_as");
  if (multimodal) {
    const std::filesystem::path same = folder.parent_path() / expected["same_as"].get<std::string>();
    expected = read_json_file(same / "expected.json", 1 << 20);
  }
  const nlohmann::json& own = expected[name];
  const auto checkpoint = Checkpoint::open(folder);
  const Adapter adapter = load_adapter(folder / name, *checkpoint);
  // Qwen 3.5's norm blows up the rounding of small outputs of the delta rule.
  const double allowed = checkpoint->family().name == "qwen3_5" ? 1e-4 : 1e-5;
  LoadOptions options = test::in_f32();
  options.training = true;
  options.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, options);
  adapter.method->begin_step({});
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : expected["sequences"])
    examples.push_back({sequence["input_ids"], sequence["labels"]});
  for (size_t i = 0; i < examples.size(); ++i) {
    const Batch alone = test::batch_of({examples[i]});
    const double loss = batch_loss(*model, {&alone}, *adapter.method).loss.item<double>();
    EXPECT_NEAR(loss / static_cast<double>(alone.targets.count()), own["losses"][i].get<double>(), allowed);
  }
  const Batch batch = test::batch_of(examples);
  EXPECT_EQ(batch.targets.count(), own["targets"].get<int64_t>());
  const at::Tensor loss =
      batch_loss(*model, {&batch, true}, *adapter.method).loss / static_cast<double>(batch.targets.count());
  EXPECT_NEAR(loss.item<double>(), own["loss"].get<double>(), allowed);
  adapter.parameters->zero_gradients();
  loss.backward();
  adapter.method->end_backward();
  double squares = 0;
  for (const auto& [name, norm] : own["gradient_norms"].items()) {
    squares += norm.get<double>() * norm.get<double>();
    std::string own_name = name;
    constexpr std::string_view start = "base_model.model.model.";
    if (multimodal) own_name.insert(start.size(), "language_model.");
    const double found = adapter.parameters->at(own_name).grad().norm().item<double>();
    EXPECT_NEAR(found, norm.get<double>(), 1e-3 * norm.get<double>() + 1e-5) << name;
  }
  EXPECT_NEAR(adapter.parameters->gradients().norm().item<double>(), std::sqrt(squares),
              10 * allowed * std::sqrt(squares));
}

INSTANTIATE_TEST_SUITE_P(
    Folders, GoldenFamilyAdapter,
    testing::Values(AdapterOf{"gemma2", "adapter"}, AdapterOf{"gemma4_dense", "adapter"},
                    AdapterOf{"gemma4_text", "adapter"}, AdapterOf{"gemma4_wrapper", "adapter"},
                    AdapterOf{"glm4", "adapter"}, AdapterOf{"gpt_oss", "adapter"},
                    AdapterOf{"granite", "adapter"}, AdapterOf{"lfm2", "adapter"},
                    AdapterOf{"llama_dynamic", "adapter"}, AdapterOf{"llama_linear", "adapter"},
                    AdapterOf{"llama_llama3", "adapter"}, AdapterOf{"llama_longrope", "adapter"},
                    AdapterOf{"llama_yarn", "adapter"}, AdapterOf{"ministral3", "adapter"},
                    AdapterOf{"ministral3_wrapper", "adapter"}, AdapterOf{"mixtral", "adapter"},
                    AdapterOf{"mixtral", "adapter_all_linear"}, AdapterOf{"olmo2", "adapter"},
                    AdapterOf{"olmo3", "adapter"}, AdapterOf{"phi3_longrope", "adapter"},
                    AdapterOf{"phi4_mini", "adapter"}, AdapterOf{"qwen3_5_text", "adapter"},
                    AdapterOf{"qwen3_moe", "adapter"}, AdapterOf{"qwen3_moe", "adapter_all_linear"},
                    AdapterOf{"smollm3", "adapter"}),
    [](const auto& info) { return std::string(info.param.first) + "_" + info.param.second; });

}  // namespace
}  // namespace lowrank
