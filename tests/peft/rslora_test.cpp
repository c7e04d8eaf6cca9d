// rsLoRA: W + alpha / sqrt(r) B A.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(RsLora, MergesByItsFormula) {
  const test::MethodFormula rslora("rslora", {{"rank", 4}, {"alpha", 6}});
  const at::Tensor update =
      at::mm(rslora.parameter("q_proj", "lora_B.weight"), rslora.parameter("q_proj", "lora_A.weight"));
  rslora.expect_merged("q_proj", rslora.weight("q_proj") + 3.0 * update);
  EXPECT_EQ(rslora.adapter.method->form().config()["use_rslora"], true);
}

}  // namespace
}  // namespace lowrank
