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

class GoldenFamilyAdapter : public testing::TestWithParam<const char*> {};

TEST_P(GoldenFamilyAdapter, LossesAndGradientsArePefts) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const nlohmann::json& own = expected["adapter"];
  const auto checkpoint = Checkpoint::open(folder);
  const Adapter adapter = load_adapter(folder / "adapter", *checkpoint);
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
  double squares = 0;
  for (const auto& [name, norm] : own["gradient_norms"].items())
    squares += norm.get<double>() * norm.get<double>();
  EXPECT_NEAR(adapter.parameters->gradients().norm().item<double>(), std::sqrt(squares),
              10 * allowed * std::sqrt(squares));
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenFamilyAdapter,
                         testing::Values("granite", "lfm2", "llama_dynamic", "llama_linear", "llama_llama3",
                                         "llama_longrope", "llama_yarn", "olmo2", "phi3_longrope",
                                         "phi4_mini", "qwen3_5_text", "smollm3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lowrank
