// The base model's own loss and logits on the text of the reference adapters.
#include <ATen/ops/topk.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/load_forms.h"
#include "support/places.h"

namespace lowrank {
namespace {

Batch one_sequence(const std::vector<int64_t>& ids) {
  Batch batch;
  batch.tokens = ids;
  batch.offsets = {0, static_cast<int64_t>(ids.size())};
  batch.examples = {0};
  for (size_t i = 0; i < ids.size(); ++i) {
    batch.positions.push_back(static_cast<int64_t>(i));
    if (i + 1 == ids.size()) break;
    batch.targets.rows.push_back(static_cast<int64_t>(i));
    batch.targets.tokens.push_back(ids[i + 1]);
    batch.targets.weights.push_back(1);
  }
  return batch;
}

void expect_own_numbers(const std::filesystem::path& model_path, const std::filesystem::path& folder) {
  const nlohmann::json expected = read_json_file(folder / "expected.json", 1 << 20);
  const Batch batch = one_sequence(expected["input_ids"]);
  const auto checkpoint = Checkpoint::open(model_path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const Context context{&batch};
  const Hooks plain;
  const TargetLoss loss = batch_loss(*model, context, plain);
  EXPECT_NEAR(loss.loss.item<double>() / static_cast<double>(batch.targets.rows.size()),
              expected["loss"].get<double>(), 1e-5);
  const std::vector<int64_t> last{batch.token_count() - 1};
  const at::Tensor logits = batch_logits(*model, context, plain, last, nullptr);
  const auto [values, indices] = at::topk(logits[0], 8);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(indices[i].item<int64_t>(), expected["top8"]["indices"][i].get<int64_t>());
    EXPECT_NEAR(values[i].item<double>(), expected["top8"]["values"][i].get<double>(), 1e-3);
  }
}

TEST(GoldenBase, SmolLM2HasItsLossAndLogits) {
  const auto model = test::real_model();
  if (!model) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  expect_own_numbers(*model, test::fixture("golden/base_smol"));
}

TEST(GoldenBase, Gpt2HasItsLossAndLogits) {
  expect_own_numbers(test::fixture("golden/base_gpt2"), test::fixture("golden/base_gpt2"));
}

}  // namespace
}  // namespace lowrank
