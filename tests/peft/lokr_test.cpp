// LoKr: W + alpha / r times the Kronecker product of w1 and w2.
#include <ATen/ops/kron.h>
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(LoKr, MergesByItsFormula) {
  const test::MethodFormula lokr("lokr", {{"rank", 2}, {"alpha", 6}});
  const auto part = [&](const char* name) { return lokr.parameter("v_proj", name); };
  const at::Tensor second = at::mm(part("lokr_w2_a"), part("lokr_w2_b"));  // 16 x 32 = (4 x 4) (x) (4 x 8)
  lokr.expect_merged("v_proj", lokr.weight("v_proj") + at::kron(part("lokr_w1"), second) * 3.0);
}

TEST(LoKr, BothMatricesCanBeProducts) {
  const test::MethodFormula lokr("lokr", {{"rank", 1}, {"alpha", 2}, {"decompose_both", true}});
  const auto part = [&](const char* name) { return lokr.parameter("q_proj", name); };
  const at::Tensor first = at::mm(part("lokr_w1_a"), part("lokr_w1_b"));
  const at::Tensor second = at::mm(part("lokr_w2_a"), part("lokr_w2_b"));
  lokr.expect_merged("q_proj", lokr.weight("q_proj") + at::kron(first, second) * 2.0);
}

}  // namespace
}  // namespace lowrank
