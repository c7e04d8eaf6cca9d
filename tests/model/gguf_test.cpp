// GGUF files whose fused weights mix block types, with q and k in llama.cpp's rotary order.
#include <cstring>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "model/tensor_form.h"
#include "support/block_model.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

TEST(Gguf, MixedBlockTypesInOneProductGiveTransformersLogits) {
  const std::filesystem::path folder = test::fixture("tiny_gguf");
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  const auto checkpoint = Checkpoint::open(folder / "mixed.gguf");
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const StoredTensor& ids = *expected.find("ids");
  Example example;
  example.tokens.resize(ids.shape[0]);
  std::memcpy(example.tokens.data(), ids.bytes.data(), ids.bytes.size());
  example.labels = example.tokens;
  const Batch batch = test::batch_of({example});
  std::vector<int64_t> rows(example.tokens.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const StoredTensor& stored = *expected.find("logits");
  const at::Tensor logits =
      at::from_blob(const_cast<std::byte*>(stored.bytes.data()), stored.shape, at::kFloat);
  const at::Tensor ours = batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
  EXPECT_LT(at::max(at::abs(ours - logits)).item<double>(), 1e-4);
  const Linear qkv = load_linear(*checkpoint, {},
                                 {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                                  "model.layers.0.self_attn.v_proj"});
  EXPECT_EQ(qkv.runs.size(), 1) << "frozen neighbours share one product whatever their types";
}

/// Multiplied where they lie, exactly or with inputs of 8 bits, blocks of mixed types and rotary order give
/// the logits of their values; nothing is kept.
TEST(Gguf, BlocksAreMultipliedInTheFile) {
  const at::NoGradGuard no_grad;
  const auto checkpoint = Checkpoint::open(test::fixture("tiny_gguf") / "mixed.gguf");
  const Batch batch = test::batch_of(test::random_examples({9, 5, 1}, checkpoint->spec().vocabulary_size));
  std::vector<int64_t> rows(batch.token_count());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const auto run = [&](BaseMemory memory, at::ScalarType type, double& loss) {
    LoadOptions options = test::in_f32();
    options.memory = memory;
    options.compute = type;
    const auto model = checkpoint->family().load(checkpoint, options);
    loss = batch_loss(*model, {&batch}, Hooks()).loss.item<double>();
    return batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
  };
  double loss = 0, other = 0;
  const at::Tensor expected = run(BaseMemory::one, at::kFloat, loss);
  const auto error = [&](const at::Tensor& ours) {
    return ((ours - expected).norm() / expected.norm()).item<double>();
  };
  EXPECT_LT(error(run(BaseMemory::small, at::kFloat, other)), 1e-5);
  EXPECT_NEAR(other, loss, 1e-4 * loss);
  EXPECT_LT(error(run(BaseMemory::blocks, at::kFloat, other)), 0.03);
  EXPECT_NEAR(other, loss, 0.005 * loss);
  EXPECT_LT(error(run(BaseMemory::blocks, at::kBFloat16, other)), 0.03);
  EXPECT_NEAR(other, loss, 0.005 * loss);
  LoadOptions options = test::in_f32();
  options.memory = BaseMemory::blocks;
  const Linear qkv = load_linear(*checkpoint, options,
                                 {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                                  "model.layers.0.self_attn.v_proj"});
  EXPECT_EQ(qkv.runs.front().weight->bytes(), 0);
}

/// However weights are held, blocks compute as their values in F32 do; the types are those that are only
/// read.
class GgufReadOnlyTypes : public testing::TestWithParam<test::LoadForm> {};

TEST_P(GgufReadOnlyTypes, GiveTheLogitsOfTheSameValuesInF32) {
  const at::NoGradGuard no_grad;
  const test::TemporaryFolder folder;
  const auto logits = [&](bool expanded) {
    const auto path = folder.path() / (expanded ? "f32.gguf" : "blocks.gguf");
    test::write_block_model(path, expanded);
    const auto checkpoint = Checkpoint::open(path);
    const auto model = checkpoint->family().load(checkpoint, GetParam().options());
    const Batch batch = test::batch_of(test::random_examples({9, 5}, 96));
    std::vector<int64_t> rows(batch.token_count());
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
    return batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
  };
  const at::Tensor blocks = logits(false);
  EXPECT_TRUE(at::equal(blocks, logits(true)));
  EXPECT_GT(at::max(at::abs(blocks)).item<double>(), 0.1);
  EXPECT_LT(at::max(at::abs(blocks)).item<double>(), 100);
}

INSTANTIATE_TEST_SUITE_P(Forms, GgufReadOnlyTypes, testing::ValuesIn(test::load_forms), test::name_of_form);

TEST(Gguf, RotaryOrderIsAPermutationOfEachHead) {
  constexpr int64_t rows = 24, heads = 3;
  std::vector<bool> seen(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t stored = rotary_row(row, rows, heads);
    EXPECT_EQ(stored / 8, row / 8);
    EXPECT_FALSE(seen[stored]);
    seen[stored] = true;
  }
  EXPECT_EQ(rotary_row(1, rows, heads), 2);
  EXPECT_EQ(rotary_row(4, rows, heads), 1);
}

}  // namespace
}  // namespace lowrank
