// LoRA on models with experts, in fixtures: losses and gradients as PEFT's, and merged folders and files.
#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "peft/merge/merge.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class ExpertAdapterFixture : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (int i = 0; i < 2; ++i) {
      const at::Tensor ids = expected("ids_" + std::to_string(i), at::kLong);
      const std::vector<int64_t> tokens(ids.const_data_ptr<int64_t>(),
                                        ids.const_data_ptr<int64_t>() + ids.numel());
      examples_.push_back({tokens, tokens});
    }
  }

  at::Tensor expected(const std::string& name, at::ScalarType type) const {
    const StoredTensor& tensor = *file_.find(name);
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, type).clone();
  }

  at::Tensor logits(const Model& model, const Hooks& hooks) const {
    const Batch batch = test::batch_of(examples_);
    return batch_logits(model, {&batch}, hooks, std::vector<int64_t>{5, 23, 40, 64}, nullptr);
  }

  /// What the merged model at `path` gives is what the adapter gives on its base.
  void expect_merged(const std::filesystem::path& path, const at::Tensor& adapted, double allowed) const {
    const auto merged = Checkpoint::open(path);
    const at::Tensor found = logits(*merged->family().load(merged, test::in_f32()), Hooks());
    EXPECT_LT(at::max(at::abs(found - adapted)).item<double>(), allowed) << path;
  }

  std::filesystem::path folder_ = test::fixture("families") / GetParam();
  SafetensorsFile file_ = SafetensorsFile::open(folder_ / "expected.safetensors");
  std::vector<Example> examples_;
};

TEST_P(ExpertAdapterFixture, LossesAndGradientsArePefts) {
  const auto checkpoint = Checkpoint::open(folder_);
  const Adapter adapter = load_adapter(folder_ / "adapter", *checkpoint);
  LoadOptions options = test::in_f32();
  options.training = true;
  options.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, options);
  adapter.method->begin_step({});
  const at::Tensor losses = expected("losses", at::kFloat);
  for (size_t i = 0; i < examples_.size(); ++i) {
    const Batch alone = test::batch_of({examples_[i]});
    const double loss = batch_loss(*model, {&alone}, *adapter.method).loss.item<double>();
    const double theirs = losses[static_cast<int64_t>(i)].item<double>();
    EXPECT_NEAR(loss, theirs, 1e-5 * theirs) << i;
  }
  const Batch batch = test::batch_of(examples_);
  adapter.parameters->zero_gradients();
  batch_loss(*model, {&batch, true}, *adapter.method).loss.backward();
  adapter.method->end_backward();
  const SafetensorsFile stored = SafetensorsFile::open(folder_ / "adapter/adapter_model.safetensors");
  std::vector<std::string> names;
  for (const StoredTensor& tensor : stored.tensors()) names.push_back(tensor.name);
  std::ranges::sort(names);
  const at::Tensor norms = expected("gradient_norms", at::kFloat);
  ASSERT_EQ(std::ssize(names), norms.numel());
  for (size_t i = 0; i < names.size(); ++i) {
    const double theirs = norms[static_cast<int64_t>(i)].item<double>();
    EXPECT_NEAR(adapter.parameters->at(names[i]).grad().norm().item<double>(), theirs, 2e-3 * theirs + 1e-4)
        << names[i];
  }
}

/// Folders are written with stacks of experts, as transformers has them.
TEST_P(ExpertAdapterFixture, MergedModelsAreTheAdapterOnItsBase) {
  const test::TemporaryFolder out;
  const at::NoGradGuard no_grad;
  for (const std::string& from : {folder_.string(), folder_.string() + ".gguf"}) {
    const auto checkpoint = Checkpoint::open(from);
    const Adapter adapter = load_adapter(folder_ / "adapter", *checkpoint);
    adapter.method->begin_step({});
    const auto model = checkpoint->family().load(checkpoint, test::in_f32());
    const at::Tensor adapted = logits(*model, *adapter.method);
    EXPECT_GT(at::max(at::abs(adapted - logits(*model, Hooks()))).item<double>(), 0.1);
    if (checkpoint->gguf()) {
      merge_to_gguf(*checkpoint, adapter, std::nullopt, out.path() / "merged.gguf");
      expect_merged(out.path() / "merged.gguf", adapted, 2e-3);
      continue;
    }
    merge_to_folder(*checkpoint, adapter, std::nullopt, out.path() / "merged");
    expect_merged(out.path() / "merged", adapted, 2e-3);
    const SafetensorsFile merged = SafetensorsFile::open(out.path() / "merged/model.safetensors");
    for (const TensorRef& tensor : checkpoint->spec().tensors) {
      if (!tensor.expert) continue;
      EXPECT_TRUE(merged.find(tensor.expert->stack_name)) << tensor.expert->stack_name;
      EXPECT_FALSE(merged.find(tensor.legacy_name)) << tensor.legacy_name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, ExpertAdapterFixture, testing::Values("qwen3_5_moe", "gemma4_moe"),
                         [](const auto& info) { return std::string(info.param); });

/// A matrix that is written anew has its factor in its values; the others keep theirs.
TEST(MergeIntoFactors, ChangedMatricesLoseThem) {
  const test::TemporaryFolder out;
  const at::NoGradGuard no_grad;
  const auto checkpoint = Checkpoint::open(test::fixture("nvfp4_factors/model.gguf"));
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> made = info.make();
  apply(made->fields(),
        {{"rank", 2}, {"target_modules", "q_proj"}, {"target_parameters", {"experts.down_proj"}}}, "test");
  Adapter adapter = make_adapter(info, std::move(made), *checkpoint);
  adapter.parameters->values().uniform_(-0.1, 0.1);
  adapter.method->begin_step({});
  const Batch batch = test::batch_of(test::random_examples({9}, 32));
  const auto logits = [&](const Model& model, const Hooks& hooks) {
    return batch_logits(model, {&batch}, hooks, std::vector<int64_t>{2, 8}, nullptr);
  };
  const auto base = checkpoint->family().load(checkpoint, test::in_f32());
  const at::Tensor adapted = logits(*base, *adapter.method);
  EXPECT_GT(at::max(at::abs(adapted - logits(*base, Hooks()))).item<double>(), 1e-2);
  merge_to_gguf(*checkpoint, adapter, DType::f32, out.path() / "merged.gguf");
  const auto merged = Checkpoint::open(out.path() / "merged.gguf");
  const at::Tensor found = logits(*merged->family().load(merged, test::in_f32()), Hooks());
  EXPECT_LT(at::max(at::abs(found - adapted)).item<double>(), 1e-4);
  const auto has = [&](const char* name) { return merged->gguf()->find_tensor(name) != nullptr; };
  EXPECT_FALSE(has("blk.0.attn_q.scale") || has("blk.0.attn_q.input_scale") ||
               has("blk.0.ffn_down_exps.scale"));
  EXPECT_TRUE(has("blk.0.attn_k.scale") && has("blk.0.ffn_up_exps.scale"));
}

}  // namespace
}  // namespace lowrank
