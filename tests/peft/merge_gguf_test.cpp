// Merging into a GGUF file: what the adapter does not touch keeps its bits, what it changes keeps its
// meaning.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/gguf_metadata.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
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
    const auto model = checkpoint->family().load(checkpoint, test::in_f32());
    const Batch batch = test::batch_of(test::random_examples({9, 5}, checkpoint->spec().vocabulary_size));
    std::vector<int64_t> rows(batch.token_count());
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

TEST(MergeGgufTypes, AMatrixWhoseBlocksLoseTheUpdateBecomesQ8) {
  const test::TemporaryFolder folder;
  const auto base = Checkpoint::open(test::fixture("tiny_gguf/mixed.gguf"));
  const Adapter adapter = test::random_adapter(*base, {{"target_modules", "q_proj,v_proj"}, {"rank", 4}});
  const at::Tensor wanted = test::logits_of(base, *adapter.method);
  const auto merged = [&](double scale, double least_kept, const std::string& name) {
    const at::NoGradGuard no_grad;
    adapter.parameters->values().mul_(scale);
    MergeResult result = merge_to_gguf(*base, adapter, std::nullopt, folder.path() / name, least_kept);
    adapter.parameters->values().mul_(1 / scale);
    return result;
  };
  // 4 bits take steps far larger than this update; F16 does not.
  const MergeResult own = merged(0.2, 0, "own.gguf");
  const MergeResult raised = merged(0.2, enough_kept, "auto.gguf");
  EXPECT_EQ(own.types, (std::map<std::string, int64_t>{{"F16", 2}, {"Q4_0", 2}}));
  EXPECT_EQ(own.raised, 0);
  EXPECT_LT(own.kept.share(), 0.8);
  EXPECT_EQ(raised.types, (std::map<std::string, int64_t>{{"F16", 2}, {"Q8_0", 2}}));
  EXPECT_EQ(raised.raised, 2);
  EXPECT_GT(raised.kept.share(), 0.95);
  // An update as large as the weights also survives in 4 bits.
  const MergeResult large = merged(4, enough_kept, "large.gguf");
  EXPECT_EQ(large.raised, 0);
  EXPECT_GT(large.kept.share(), enough_kept);
}

TEST(MergeGgufErrors, NothingIsMergedIntoABrokenModel) {
  const test::TemporaryFolder folder;
  const std::filesystem::path broken = folder.path() / "broken.gguf";
  std::string bytes = test::content_of(test::fixture("tiny_gguf/mixed.gguf"));
  {
    const auto base = Checkpoint::open(test::fixture("tiny_gguf/mixed.gguf"));
    const StoredTensor* norm = base->gguf()->find_tensor("output_norm.weight");
    ASSERT_EQ(norm->dtype, DType::f32);
    const size_t place =
        bytes.find(std::string_view(reinterpret_cast<const char*>(norm->bytes.data()), norm->bytes.size()));
    ASSERT_NE(place, std::string::npos);
    bytes.replace(place + 4, 4, std::string("\x00\x00\x80\x7F", 4));
  }
  folder.write("broken.gguf", bytes);
  const auto base = Checkpoint::open(broken);
  const Adapter adapter = make_adapter(method_named("lora"), method_named("lora").make(), *base);
  test::expect_error(ErrorKind::invalid, "output_norm.weight", "inf at value 1",
                     [&] { merge_to_gguf(*base, adapter, std::nullopt, folder.path() / "x.gguf"); });
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "x.gguf"));
}

TEST(MergeGgufErrors, AFolderIsNoGgufBase) {
  const test::TemporaryFolder folder;
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const Adapter adapter = make_adapter(method_named("lora"), method_named("lora").make(), *base);
  test::expect_error(ErrorKind::unsupported, "x.gguf", "from a GGUF base only",
                     [&] { merge_to_gguf(*base, adapter, std::nullopt, folder.path() / "x.gguf"); });
}

}  // namespace
}  // namespace lowrank
