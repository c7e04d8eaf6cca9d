// DoRA: W' = m V / ||V||, V = W + s B A, norms of rows.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Dora, MergesByItsFormula) {
  const test::MethodFormula dora("dora", {{"rank", 4}, {"alpha", 6}});
  for (const char* module : {"q_proj", "v_proj"}) {
    const at::Tensor v = dora.weight(module) + 1.5 * at::mm(dora.parameter(module, "lora_B.weight"),
                                                            dora.parameter(module, "lora_A.weight"));
    const at::Tensor m = dora.parameter(module, "lora_magnitude_vector");
    dora.expect_merged(module, v * (m / v.square().sum(1).sqrt()).unsqueeze(1));
  }
}

TEST(Dora, MagnitudesStartAsTheNormsOfTheWeight) {
  const test::MethodFormula dora("dora", nlohmann::json::object(), false);
  const at::Tensor norms = dora.weight("q_proj").square().sum(1).sqrt();
  EXPECT_LT(at::max(at::abs(dora.parameter("q_proj", "lora_magnitude_vector") - norms)).item<double>(), 1e-6);
}

}  // namespace
}  // namespace lowrank
