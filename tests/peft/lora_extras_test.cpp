// LoRA's rarer options in files that PEFT wrote: loss, gradient norm and a short AdamW trace are PEFT's, and
// what is saved again is the same.
#include <numeric>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/safetensors.h"
#include "kernels/operations/adamw.h"
#include "model/registry.h"
#include "peft/files/adapter_file.h"
#include "peft/merge/merge.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class LoraExtras : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = test::fixture("lora_extras") / GetParam();
    expected_ = read_json_file(folder_ / "expected.json", 1 << 20);
    checkpoint_ = Checkpoint::open(test::fixture(expected_["base"].get<std::string>()));
    adapter_.emplace(load_adapter(folder_, *checkpoint_));
    batch_ = test::batch_of({{expected_["input_ids"], expected_["labels"], 1}});
  }

  std::unique_ptr<Model> model(const Checkpoint& checkpoint, bool plain = false) const {
    LoadOptions options = test::in_f32();
    options.training = true;
    if (!plain) options.use = uses_of(adapter_->plan);
    return checkpoint.family().load(std::shared_ptr<const Checkpoint>(checkpoint_, &checkpoint), options);
  }

  at::Tensor logits(const Model& model, const Hooks& hooks) const {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> rows(batch_.token_count());
    std::iota(rows.begin(), rows.end(), 0);
    return batch_logits(model, {&batch_}, hooks, rows, nullptr);
  }

  std::filesystem::path folder_;
  nlohmann::json expected_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::optional<Adapter> adapter_;
  Batch batch_;
};

TEST_P(LoraExtras, LossGradientAndTraceArePefts) {
  const auto loaded = model(*checkpoint_);
  const auto targets = static_cast<double>(batch_.targets.rows.size());
  at::Tensor m = at::zeros_like(adapter_->parameters->values());
  at::Tensor v = at::zeros_like(m);
  // PEFT updates the two uses of shared factors separately, so only the first loss can be the same.
  const bool shared = !adapter_->plan.copies.empty() && adapter_->plan.copies.front().transposed;
  for (int64_t step = 0; step < (shared ? 1 : 4); ++step) {
    adapter_->parameters->zero_gradients();
    const at::Tensor loss = batch_loss(*loaded, {&batch_, true}, *adapter_->method).loss / targets;
    loss.backward();
    EXPECT_NEAR(loss.item<double>(), expected_["losses"][step].get<double>(), step == 0 ? 1e-5 : 1e-4);
    if (step == 0 && !shared) {
      EXPECT_EQ(adapter_->parameters->count(), expected_["count"].get<int64_t>());
      EXPECT_NEAR(std::sqrt(squared_norm(adapter_->parameters->gradients())),
                  expected_["grad_norm"].get<double>(), 1e-3 * expected_["grad_norm"].get<double>());
    }
    const AdamWGroup all{0, adapter_->parameters->count(), 1e-2, 0};
    adamw_step(adapter_->parameters->values(), adapter_->parameters->gradients(), m, v, {&all, 1}, {},
               step + 1, 1);
  }
}

TEST_P(LoraExtras, SavedAgainItIsTheSame) {
  const test::TemporaryFolder temporary;
  save_adapter(temporary.path(), *adapter_, expected_["base"].get<std::string>());
  const SafetensorsFile theirs = SafetensorsFile::open(folder_ / "adapter_model.safetensors");
  const SafetensorsFile ours = SafetensorsFile::open(temporary.path() / "adapter_model.safetensors");
  for (const StoredTensor& tensor : theirs.tensors()) {
    const StoredTensor* again = ours.find(tensor.name);
    if (tensor.name.ends_with("base_layer.weight")) continue;
    ASSERT_NE(again, nullptr) << tensor.name;
    EXPECT_EQ(again->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(again->bytes, tensor.bytes)) << tensor.name;
  }
  const nlohmann::json config = read_json_file(temporary.path() / "adapter_config.json", 1 << 20);
  nlohmann::json original = read_json_file(folder_ / "adapter_config.json", 1 << 20);
  // An object with one key means the same as the list.
  if (original["trainable_token_indices"].is_object())
    original["trainable_token_indices"] = original["trainable_token_indices"].begin().value();
  for (const auto& [key, value] : original.items()) {
    if (!value.is_array() || key == "trainable_token_indices") {
      EXPECT_EQ(config[key], value) << key;
      continue;
    }
    const std::set<std::string> left(value.begin(), value.end());
    EXPECT_EQ(std::set<std::string>(config[key].begin(), config[key].end()), left) << key;
  }
}

TEST_P(LoraExtras, MergedEqualsUnmerged) {
  const test::TemporaryFolder temporary;
  merge_to_folder(*checkpoint_, *adapter_, std::nullopt, temporary.path() / "merged");
  const auto merged = Checkpoint::open(temporary.path() / "merged");
  const at::Tensor apart = logits(*model(*checkpoint_), *adapter_->method);
  const at::Tensor together = logits(*model(*merged, true), Hooks());
  EXPECT_LT(at::max(at::abs(apart - together)).item<double>(), 1e-4);
  EXPECT_GT(at::max(at::abs(apart - logits(*model(*checkpoint_, true), Hooks()))).item<double>(), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Variants, LoraExtras,
                         testing::Values("bias_all", "bias_lora_only", "lora_bias", "save_head",
                                         "save_several", "tied_adapter", "tied_saved", "token_rows",
                                         "token_rows_untied", "base_copies"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lowrank
