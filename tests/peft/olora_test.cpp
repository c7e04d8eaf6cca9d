// OLoRA: the start takes the first r columns of Q and rows of R out of the weight.
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Olora, StartsFromTheQrDecomposition) {
  const test::MethodFormula olora("olora", {{"rank", 3}}, false);
  const auto [q, r] = at::linalg_qr(olora.weight("v_proj"));
  const at::Tensor start =
      at::mm(olora.parameter("v_proj", "lora_B.weight"), olora.parameter("v_proj", "lora_A.weight"));
  EXPECT_LT(at::max(at::abs(start - at::mm(q.narrow(1, 0, 3), r.narrow(0, 0, 3)))).item<double>(), 1e-5);
  EXPECT_LT(at::max(at::abs(olora.merged("v_proj") - olora.weight("v_proj"))).item<double>(), 1e-5);
}

TEST(Olora, TheUpdateIsWhatTheFactorsMovedBy) {
  const test::MethodFormula start("olora", {{"rank", 4}, {"alpha", 8}}, false);
  const test::MethodFormula olora("olora", {{"rank", 4}, {"alpha", 8}});
  const auto product = [](const test::MethodFormula& of) {
    return at::mm(of.parameter("q_proj", "lora_B.weight"), of.parameter("q_proj", "lora_A.weight"));
  };
  olora.expect_merged("q_proj", olora.weight("q_proj") + 2.0 * (product(olora) - product(start)));
}

}  // namespace
}  // namespace lowrank
