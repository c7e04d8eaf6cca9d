// Adapters that PEFT wrote: their loss, gradient norms and a short AdamW trace on SmolLM2.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "kernels/adamw.h"
#include "model/registry.h"
#include "peft/adapter_file.h"
#include "peft/adapter_labels.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

std::optional<std::filesystem::path> base_of(const std::string& name, const std::filesystem::path& shared) {
  if (name == "gpt2") return shared / "golden/base_gpt2";
  return name == "bert" ? test::minilm() : test::real_model();
}

class GoldenAdapter : public testing::TestWithParam<const char*> {};

TEST_P(GoldenAdapter, LossGradientAndTraceAreItsOwn) {
  const auto shared = test::shared_folder();
  if (!shared) GTEST_SKIP() << "no reference adapters beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path folder = *shared / "golden" / GetParam();
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const auto path = base_of(expected["base"], *shared);
  if (!path) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file, or LOWRANK_MINILM no MiniLM folder";
  const auto checkpoint = Checkpoint::open(*path, read_adapter_labels(folder));
  Adapter adapter = load_adapter(folder, *checkpoint);
  EXPECT_EQ(adapter.parameters->count(), expected["trainable_parameters"].get<int64_t>());
  LoadOptions options;
  options.training = true;
  options.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, options);
  Example example{expected["input_ids"], expected["labels"], 1};
  if (checkpoint->spec().labels) example.label = example.labels[0];
  const Batch batch = test::batch_of({example});
  const auto targets = static_cast<double>(batch.targets.count());
  const auto backward = [&] {
    adapter.parameters->zero_gradients();
    adapter.method->begin_step({});
    at::Tensor loss = batch_loss(*model, {&batch, true}, *adapter.method).loss / targets;
    const at::Tensor regularizer = adapter.method->regularizer();
    if (regularizer.defined()) loss = loss + regularizer;
    loss.backward();
    return loss.item<double>();
  };
  const nlohmann::json& trace = expected["adamw_trace"];
  at::Tensor m = at::zeros_like(adapter.parameters->values());
  at::Tensor v = at::zeros_like(m);
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_NEAR(backward(), trace["losses"][step].get<double>(), step == 0 ? 1e-4 : 1e-3) << "step " << step;
    if (step == 0) {
      EXPECT_NEAR(std::sqrt(squared_norm(adapter.parameters->gradients())),
                  expected["grad_norm_all"].get<double>(), 1e-3 * expected["grad_norm_all"].get<double>());
    }
    const AdamWGroup all{0, adapter.parameters->count(), trace["lr"], trace["weight_decay"]};
    adapter.method->after_step({});
    adamw_step(adapter.parameters->values(), adapter.parameters->gradients(), m, v, {&all, 1}, {}, step + 1,
               1);
  }
  EXPECT_NEAR(backward(), trace["losses"][3].get<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenAdapter,
                         testing::Values("lora", "rslora", "lora_all_linear", "lora_embedding", "dora",
                                         "pissa", "vera", "ia3", "loha", "lokr", "adalora", "gpt2_lora",
                                         "gpt2_lora_bias_all", "gpt2_dora", "gpt2_ia3", "gpt2_vera",
                                         "bert_ia3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lowrank
