// Tiny random checkpoints: logits equal transformers', for every kind of decoder and every layout of the
// files. Those in the fixtures' folders are found, not listed.
#include <algorithm>
#include <set>

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

/// Folders of models, and GGUF files, that have an expected.safetensors: in the folder itself, or in that of
/// the file's name.
std::vector<std::string> checkpoints() {
  std::vector<std::string> found;
  for (const std::string group : {"tiny_llama", "tiny_decoders", "families"}) {
    for (const auto& entry : std::filesystem::directory_iterator(test::fixture(group))) {
      const std::filesystem::path folder = entry.path().parent_path() / entry.path().stem();
      if (!std::filesystem::exists(folder / "expected.safetensors")) continue;
      if (!entry.is_directory() || std::filesystem::exists(entry.path() / "config.json"))
        found.push_back(group + "/" + entry.path().filename().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

class TinyCheckpoint : public testing::TestWithParam<std::string> {};

TEST_P(TinyCheckpoint, LogitsEqualTransformers) {
  const std::filesystem::path path = test::fixture(GetParam());
  const std::filesystem::path folder = path.parent_path() / path.stem();
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  // The sequences are packed into one batch: they must not see each other.
  std::vector<Example> examples;
  for (int i = 0; expected.find("ids_" + std::to_string(i)); ++i) {
    const at::Tensor ids = stored(expected, "ids_" + std::to_string(i), at::kLong);
    Example example;
    example.tokens.assign(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
    example.labels = example.tokens;
    examples.push_back(std::move(example));
  }
  ASSERT_GT(examples.size(), 1U);
  const Batch batch = test::batch_of(examples);
  for (size_t i = 0; i < examples.size(); ++i) {
    const at::Tensor logits = stored(expected, "logits_" + std::to_string(i), at::kFloat);
    std::vector<int64_t> rows;
    for (int64_t j = 0; j < logits.size(0); ++j) rows.push_back(batch.offsets[i + 1] - logits.size(0) + j);
    const at::Tensor ours = batch_logits(*model, {&batch}, Hooks(), rows, nullptr);
    // Qwen 3.5's norm blows up small outputs of the delta rule: transformers itself is 2e-4 from f64.
    const double allowed = checkpoint->family().name.starts_with("qwen3_5") ? 5e-4 : 1e-4;
    EXPECT_LT(at::max(at::abs(ours - logits)).item<double>(), allowed) << "sequence " << i;
    EXPECT_GT(at::max(at::abs(logits)).item<double>(), 0.5);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, TinyCheckpoint, testing::ValuesIn(checkpoints()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return c == '/' || c == '.'; }, '_');
  return name;
});

TEST(TinyCheckpoints, EachDecoderHasOne) {
  std::set<std::string_view> there;
  for (const std::string& name : checkpoints())
    there.insert(Checkpoint::open(test::fixture(name))->family().name);
  for (const FamilyInfo* family : families()) {
    if (family->spec(family->tiny_config()).task != Task::causal_lm) continue;
    EXPECT_TRUE(there.contains(family->name)) << "no fixture of the family " << family->name;
  }
}

}  // namespace
}  // namespace lowrank
