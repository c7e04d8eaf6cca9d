// Tiny random checkpoints: logits equal transformers', for every kind of decoder and every way the files can
// lie.
#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

at::Tensor stored(const SafetensorsFile& file, const std::string& name, at::ScalarType type) {
  const StoredTensor& tensor = *file.find(name);
  return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, type).clone();
}

class TinyCheckpoint : public testing::TestWithParam<const char*> {};

TEST_P(TinyCheckpoint, LogitsEqualTransformers) {
  const std::filesystem::path path = test::fixture(GetParam());
  const std::filesystem::path folder = path.parent_path() / path.stem();
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  // The sequences are packed into one batch: they must not see each other.
  std::vector<Example> examples;
  for (int i = 0; i < 3; ++i) {
    const at::Tensor ids = stored(expected, "ids_" + std::to_string(i), at::kLong);
    Example example;
    example.tokens.assign(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
    example.labels = example.tokens;
    examples.push_back(std::move(example));
  }
  const Batch batch = test::batch_of(examples);
  for (int i = 0; i < 3; ++i) {
    const at::Tensor logits = stored(expected, "logits_" + std::to_string(i), at::kFloat);
    std::vector<int64_t> rows;
    for (int64_t j = 0; j < logits.size(0); ++j) rows.push_back(batch.offsets[i + 1] - logits.size(0) + j);
    const at::Tensor ours = batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
    EXPECT_LT(at::max(at::abs(ours - logits)).item<double>(), 1e-4) << "sequence " << i;
    EXPECT_GT(at::max(at::abs(logits)).item<double>(), 0.5);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, TinyCheckpoint,
                         testing::Values("tiny_llama/llama3", "tiny_llama/linear", "tiny_llama/sharded",
                                         "tiny_llama/bf16", "tiny_decoders/llama31.gguf",
                                         "tiny_decoders/mistral", "tiny_decoders/qwen2",
                                         "tiny_decoders/qwen3", "tiny_decoders/qwen3.gguf",
                                         "tiny_decoders/gemma3", "tiny_decoders/gpt2",
                                         "tiny_decoders/gpt2_unprefixed", "tiny_decoders/gpt2.gguf"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace_if(
                               name, [](char c) { return c == '/' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace lowrank
