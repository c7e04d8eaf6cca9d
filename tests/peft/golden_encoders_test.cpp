// LoRA adapters that PEFT wrote for encoders with a label head: losses of two texts and every gradient.
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "model/registry.h"
#include "peft/files/adapter_file.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class GoldenEncoderAdapter : public testing::TestWithParam<const char*> {};

TEST_P(GoldenEncoderAdapter, LossesAndGradientsArePefts) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path folder = *shared / "golden/families" / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const nlohmann::json& own = expected["adapter"];
  const auto checkpoint = Checkpoint::open(folder);
  const Adapter adapter = load_adapter(folder / "adapter", *checkpoint);
  LoadOptions options = test::in_f32();
  options.training = true;
  options.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, options);
  adapter.method->begin_step({});
  std::vector<Example> examples;
  for (const nlohmann::json& sequence : expected["sequences"])
    examples.push_back({sequence["input_ids"], {}, 1, sequence["label"].get<double>()});
  const Batch batch = test::batch_of(examples);
  const TargetLoss loss = batch_loss(*model, {&batch, true}, *adapter.method);
  for (size_t i = 0; i < examples.size(); ++i)
    EXPECT_NEAR(loss.nll[static_cast<int64_t>(i)].item<double>(), own["losses"][i].get<double>(), 1e-4);
  const at::Tensor mean = loss.loss / static_cast<double>(examples.size());
  EXPECT_NEAR(mean.item<double>(), own["loss"].get<double>(), 1e-4);
  adapter.parameters->zero_gradients();
  mean.backward();
  double squares = 0;
  for (const auto& [name, norm] : own["gradient_norms"].items())
    squares += norm.get<double>() * norm.get<double>();
  EXPECT_NEAR(adapter.parameters->gradients().norm().item<double>(), std::sqrt(squares),
              1e-3 * std::sqrt(squares));
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenEncoderAdapter, testing::Values("modernbert", "xlm_roberta"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lowrank
