// Checkpoints quantised by bitsandbytes, and bases that are rounded to NF4 on loading.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
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

at::Tensor all_logits(const Model& model, const std::vector<int64_t>& ids) {
  Example example;
  example.tokens = example.labels = ids;
  const Batch batch = test::batch_of({example});
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < batch.token_count(); ++row) rows.push_back(row);
  return batch_logits(model, {&batch}, Hooks(), rows, nullptr);
}

class Nf4Checkpoint : public testing::TestWithParam<const char*> {};

TEST_P(Nf4Checkpoint, LogitsEqualTransformers) {
  const std::filesystem::path folder = test::fixture(GetParam());
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  const auto stored = [&](const char* name, at::ScalarType type) {
    const StoredTensor& tensor = *expected.find(name);
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, type).clone();
  };
  const at::Tensor ids = stored("ids", at::kLong);
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const at::Tensor ours =
      all_logits(*model, {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel()});
  EXPECT_LT(at::max(at::abs(ours - stored("logits", at::kFloat))).item<double>(), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Folders, Nf4Checkpoint, testing::Values("tiny_nf4", "tiny_nf4_plain"),
                         [](const auto& name) { return std::string(name.param); });

TEST(Nf4Base, EveryMemoryPolicyHasTheSameWeights) {
  const test::TemporaryFolder folder;
  for (const auto& config : {test::tiny_llama_config(), test::tiny_gpt2_config()}) {
    test::write_tiny_model(folder.path(), config);
    const auto checkpoint = Checkpoint::open(folder.path());
    const auto logits = [&](BaseMemory memory, bool nf4) {
      LoadOptions options = test::in_f32();
      options.memory = memory;
      options.nf4 = nf4;
      return all_logits(*checkpoint->family().load(checkpoint, options), {1, 5, 9, 2});
    };
    const at::Tensor rounded = logits(BaseMemory::small, true);
    EXPECT_LT(at::max(at::abs(logits(BaseMemory::one, true) - rounded)).item<double>(), 1e-5);
    EXPECT_GT(at::max(at::abs(logits(BaseMemory::one, false) - rounded)).item<double>(), 1e-3);
    EXPECT_LT(
        at::max(at::abs(logits(BaseMemory::one, false) - logits(BaseMemory::small, false))).item<double>(),
        1e-5);
  }
}

}  // namespace
}  // namespace lowrank
