// LoHa: W + alpha / r (w1a w1b) * (w2a w2b), elementwise.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(LoHa, MergesByItsFormula) {
  for (const int rank : {2, 8}) {  // as a low-rank product of rank r^2, and as a whole matrix
    const test::MethodFormula loha("loha", {{"rank", rank}, {"alpha", 6}});
    const auto part = [&](const char* name) { return loha.parameter("q_proj", name); };
    const at::Tensor update =
        at::mm(part("hada_w1_a"), part("hada_w1_b")) * at::mm(part("hada_w2_a"), part("hada_w2_b"));
    loha.expect_merged("q_proj", loha.weight("q_proj") + update * (6.0 / rank));
  }
}

}  // namespace
}  // namespace lowrank
