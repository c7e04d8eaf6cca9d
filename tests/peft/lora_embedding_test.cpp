// LoRA on the embedding, with and without a tied head, and the orthogonal start.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "peft/core/low_rank_init.h"
#include "peft/core/registry.h"
#include "peft/merge/merge.h"
#include "support/gradient_check.h"
#include "support/load_forms.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// The parameter: is the head tied?
class LoraEmbedding : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    nlohmann::json config = test::tiny_llama_config();
    config["tie_word_embeddings"] = GetParam();
    test::write_tiny_model(folder_.path() / "base", config);
    checkpoint_ = Checkpoint::open(folder_.path() / "base");
    batch_ = test::batch_of(test::random_examples({7, 1, 12}, checkpoint_->spec().vocabulary_size));
  }

  Adapter stirred(at::ScalarType type = at::kFloat) const {
    const MethodInfo& lora = method_named("lora");
    std::unique_ptr<Method> method = lora.make();
    apply(method->fields(), {{"target_modules", "embed_tokens,q_proj"}, {"rank", 3}}, "test");
    Adapter adapter = make_adapter(lora, std::move(method), *checkpoint_, type);
    adapter.method->initialise(*checkpoint_, 3);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.1 * random.normal();
    return adapter;
  }

  static at::Tensor logits(const std::shared_ptr<const Checkpoint>& checkpoint, const Hooks& hooks,
                           const Batch& batch) {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < batch.offsets.back(); ++row) rows.push_back(row);
    return batch_logits(*checkpoint->family().load(checkpoint, test::in_f32()), {&batch}, hooks, rows,
                        nullptr);
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  Batch batch_;
};

TEST_P(LoraEmbedding, GradientsMatchFiniteDifferences) {
  Adapter adapter = stirred(at::kDouble);
  LoadOptions options;
  options.compute = at::kDouble;
  options.training = true;
  const auto model = checkpoint_->family().load(checkpoint_, options);
  test::expect_gradients(
      *adapter.parameters,
      [&](bool backward) {
        const TargetLoss loss = batch_loss(*model, {&batch_, true}, *adapter.method);
        if (backward) loss.loss.backward();
        return loss.loss.item<double>();
      },
      17);
}

TEST_P(LoraEmbedding, MergedEqualsUnmergedAndATiedHeadKeepsItsValues) {
  const Adapter adapter = stirred();
  const MergeResult result = merge_to_folder(*checkpoint_, adapter, std::nullopt, folder_.path() / "merged");
  EXPECT_EQ(result.untied, GetParam());
  const auto merged = Checkpoint::open(folder_.path() / "merged");
  const at::Tensor adapted = logits(checkpoint_, *adapter.method, batch_);
  EXPECT_LT(at::max(at::abs(logits(merged, Hooks(), batch_) - adapted)).item<double>(), 1e-4);
  EXPECT_GT(at::max(at::abs(logits(checkpoint_, Hooks(), batch_) - adapted)).item<double>(), 1e-2);
}

TEST_P(LoraEmbedding, KeysAndShapesArePeftsAndComeBack) {
  const Adapter adapter = stirred();
  const std::string prefix = "base_model.model.model.embed_tokens.lora_embedding_";
  EXPECT_EQ(adapter.parameters->at(prefix + "A").sizes(), (std::vector<int64_t>{3, 64}));
  EXPECT_EQ(adapter.parameters->at(prefix + "B").sizes(), (std::vector<int64_t>{32, 3}));
  save_adapter(folder_.path() / "adapter", adapter, "base");
  const Adapter again = load_adapter(folder_.path() / "adapter", *checkpoint_);
  EXPECT_TRUE(at::equal(again.parameters->values(), adapter.parameters->values()));
}

INSTANTIATE_TEST_SUITE_P(Heads, LoraEmbedding, testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "tied" : "untied"); });

TEST(LoraOrthogonal, StartsAtTheBaseWithFactorsThatAreNotZero) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), test::tiny_llama_config());
  const auto checkpoint = Checkpoint::open(folder.path());
  const MethodInfo& lora = method_named("lora");
  const auto with_rank = [&](int64_t rank) {
    std::unique_ptr<Method> method = lora.make();
    apply(method->fields(), {{"init", "orthogonal"}, {"rank", rank}}, "test");
    Adapter adapter = make_adapter(lora, std::move(method), *checkpoint);
    adapter.method->initialise(*checkpoint, 3);
    return adapter;
  };
  const Adapter adapter = with_rank(4);
  const at::NoGradGuard no_grad;
  const std::string prefix = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  const at::Tensor a = adapter.parameters->at(prefix + "A.weight");
  const at::Tensor b = adapter.parameters->at(prefix + "B.weight");
  EXPECT_GT(at::max(at::abs(a)).item<double>(), 1e-2);
  EXPECT_GT(at::max(at::abs(b)).item<double>(), 1e-2);
  EXPECT_LT(at::max(at::abs(at::mm(b, a))).item<double>(), 1e-6);
  EXPECT_EQ(adapter.method->form().config()["init_lora_weights"], "orthogonal");
  EXPECT_THROW(with_rank(3), Error);
}

}  // namespace
}  // namespace lowrank
