// LoRA-FA: A is in the file but is never trained.
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(LoraFa, TrainsBAlone) {
  const test::MethodFormula lora_fa("lora_fa", {{"rank", 4}, {"target_modules", "query-value"}});
  EXPECT_EQ(lora_fa.adapter.parameters->count(), 2 * 4 * (32 + 16));
  EXPECT_FALSE(
      lora_fa.adapter.parameters->at("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight")
          .requires_grad());
  EXPECT_EQ(file_tensors(lora_fa.adapter).size(), 8U);
  EXPECT_GT(at::max(at::abs(lora_fa.parameter("q_proj", "lora_A.weight"))).item<double>(), 0.01);
}

}  // namespace
}  // namespace lowrank
