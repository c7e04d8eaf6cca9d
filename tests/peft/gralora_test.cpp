// GraLoRA: every block of the weight has a small low-rank update of its own.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(GraLora, MergesByItsFormula) {
  const nlohmann::json options = {{"rank", 4}, {"gralora_k", 2}, {"hybrid_r", 3}, {"alpha", 14}};
  const test::MethodFormula gralora("gralora", options);
  const at::Tensor a = gralora.parameter("v_proj", "gralora_A"), b = gralora.parameter("v_proj", "gralora_B");
  at::Tensor expected =
      gralora.weight("v_proj") + 2 * at::mm(gralora.parameter("v_proj", "gralora_B_general.weight"),
                                            gralora.parameter("v_proj", "gralora_A_general.weight"));
  for (int64_t j = 0; j < 2; ++j) {
    for (int64_t n = 0; n < 2; ++n) {
      const at::Tensor left = b[j].narrow(0, 2 * n, 2).t(), right = a[n].narrow(1, 2 * j, 2).t();
      expected.narrow(0, 8 * j, 8).narrow(1, 16 * n, 16).add_(at::mm(left, right), 2);
    }
  }
  gralora.expect_merged("v_proj", expected);
}

}  // namespace
}  // namespace lowrank
