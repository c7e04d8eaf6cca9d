// Merging into a GGUF file: what the adapter does not touch keeps its bits, what it changes keeps its
// meaning.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/gguf_metadata.h"
#include "model/registry.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "support/expect_error.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class MergeGguf : public testing::TestWithParam<const char*> {
 protected:
  void open(const std::string& targets) {
    base_ = Checkpoint::open(test::fixture(GetParam()));
    const MethodInfo& lora = method_named("lora");
    std::unique_ptr<Method> method = lora.make();
    apply(method->fields(), {{"target_modules", targets}, {"rank", 4}}, "test");
    adapter_.emplace(make_adapter(lora, std::move(method), *base_));
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter_->parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] = 0.1 * random.normal();
  }

  static at::Tensor logits(const std::shared_ptr<const Checkpoint>& checkpoint, const Hooks& hooks) {
    const at::NoGradGuard no_grad;
    const auto model = checkpoint->family().load(checkpoint, {});
    const Batch batch = test::batch_of(test::random_examples({9, 5}, checkpoint->spec().vocabulary_size));
    std::vector<int64_t> rows(batch.rows());
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
    return batch_logits(*model, {&batch}, hooks, rows, nullptr);
  }

  double difference(const std::shared_ptr<const Checkpoint>& merged) const {
    return at::max(at::abs(logits(merged, Hooks()) - logits(base_, *adapter_->method))).item<double>();
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
  std::optional<Adapter> adapter_;
};

TEST_P(MergeGguf, KeepsKeysAndUntouchedTensorsAndEqualsTheAdapter) {
  open("q_proj,k_proj,down_proj");
  const auto path = folder_.path() / "merged.gguf";
  const MergeResult result = merge_to_gguf(*base_, *adapter_, DType::f32, path);
  const auto merged = Checkpoint::open(path);
  EXPECT_EQ(result.requantised, 0);
  EXPECT_EQ(result.tensors, std::ssize(base_->gguf()->tensors()));
  for (const TensorRef& tensor : base_->spec().tensors) {
    if (adapter_->method->merges(tensor) || !base_->find(tensor)) continue;
    EXPECT_EQ(merged->find(tensor)->dtype, base_->find(tensor)->dtype);
    EXPECT_TRUE(std::ranges::equal(merged->find(tensor)->bytes, base_->find(tensor)->bytes)) << tensor.name;
  }
  const GgufMetadata before(*base_->gguf());
  const GgufMetadata after(*merged->gguf());
  ASSERT_EQ(after.entries().size(), before.entries().size());
  for (size_t i = 0; i < before.entries().size(); ++i) {
    EXPECT_EQ(after.entries()[i].key, before.entries()[i].key);
    EXPECT_EQ(after.entries()[i].value, before.entries()[i].value);
  }
  EXPECT_LT(difference(merged), 1e-4);
}

TEST_P(MergeGguf, ChangedTensorsKeepTheirTypeOrTakeTheWantedOne) {
  open("q_proj,v_proj");
  merge_to_gguf(*base_, *adapter_, std::nullopt, folder_.path() / "own.gguf");
  merge_to_gguf(*base_, *adapter_, DType::q8_0, folder_.path() / "q8.gguf");
  const auto own = Checkpoint::open(folder_.path() / "own.gguf");
  const auto q8 = Checkpoint::open(folder_.path() / "q8.gguf");
  for (const TensorRef& tensor : base_->spec().tensors) {
    if (!base_->find(tensor)) continue;
    const DType stored = base_->find(tensor)->dtype;
    EXPECT_EQ(own->find(tensor)->dtype, stored);
    const bool matrix = adapter_->method->merges(tensor) && tensor.shape.size() == 2;
    EXPECT_EQ(q8->find(tensor)->dtype, matrix ? DType::q8_0 : stored);
  }
  EXPECT_LT(difference(q8), 0.2);
  test::expect_error(ErrorKind::invalid, "own.gguf", "exists already",
                     [&] { merge_to_gguf(*base_, *adapter_, std::nullopt, folder_.path() / "own.gguf"); });
}

TEST_P(MergeGguf, ATiedHeadGetsATensorOfItsOwn) {
  open("embed_tokens");
  const MergeResult result = merge_to_gguf(*base_, *adapter_, DType::f32, folder_.path() / "merged.gguf");
  const auto merged = Checkpoint::open(folder_.path() / "merged.gguf");
  EXPECT_EQ(result.untied, base_->spec().tied_head);
  EXPECT_FALSE(merged->spec().tied_head);
  EXPECT_LT(difference(merged), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Files, MergeGguf,
                         testing::Values("tiny_gguf/mixed.gguf", "tiny_decoders/llama31.gguf",
                                         "tiny_decoders/qwen3.gguf"),
                         [](const auto& info) { return "file" + std::to_string(info.index); });

TEST(MergeGgufErrors, AFolderIsNoGgufBase) {
  const test::TemporaryFolder folder;
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const Adapter adapter = make_adapter(method_named("lora"), method_named("lora").make(), *base);
  test::expect_error(ErrorKind::unsupported, "x.gguf", "from a GGUF base only",
                     [&] { merge_to_gguf(*base, adapter, std::nullopt, folder.path() / "x.gguf"); });
}

}  // namespace
}  // namespace lowrank
