// Gemma 3 270M, Q4_K_M: the loss of each row equals transformers'.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

TEST(Gemma3, LossOfEachRowIsTransformers) {
  const char* path = std::getenv("LOWRANK_GEMMA");
  if (!path) GTEST_SKIP() << "LOWRANK_GEMMA names no Gemma 3 270M Q4_K_M file (tools/setup gemma fetches it)";
  const auto checkpoint = Checkpoint::open(path);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  const at::NoGradGuard no_grad;
  std::vector<double> expected;
  std::vector<Example> examples;
  read_rows(test::fixture("gemma3/rows.jsonl"), {},
            [&](const Row& row, const nlohmann::ordered_json& fields) {
              examples.push_back({row.input_ids, row.labels, row.line});
              expected.push_back(fields["loss"].get<double>());
            });
  for (size_t i = 0; i < examples.size(); ++i) {
    const Batch batch = test::batch_of({examples[i]});
    const double loss = batch_loss(*model, {&batch}, Hooks()).loss.item<double>();
    EXPECT_NEAR(loss / static_cast<double>(examples[i].targets()), expected[i], 2e-3) << "row " << i;
  }
}

}  // namespace
}  // namespace lowrank
