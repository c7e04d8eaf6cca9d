// VeRA: W + (lambda_b B) (lambda_d A) with one frozen pair for all modules.
#include <ATen/ops/mm.h>

#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Vera, MergesByItsFormula) {
  const test::MethodFormula vera("vera", {{"rank", 6}});
  const at::Tensor a = vera.adapter.parameters->at("base_model.vera_A");
  const at::Tensor b = vera.adapter.parameters->at("base_model.vera_B");
  EXPECT_EQ(a.sizes().vec(), (std::vector<int64_t>{6, 32}));
  EXPECT_FALSE(a.requires_grad());
  for (const char* module : {"q_proj", "v_proj"}) {
    const at::Tensor lambda_b = vera.parameter(module, "vera_lambda_b");
    const at::Tensor left = b.narrow(0, 0, lambda_b.size(0)) * lambda_b.unsqueeze(1);
    const at::Tensor right = a * vera.parameter(module, "vera_lambda_d").unsqueeze(1);
    vera.expect_merged(module, vera.weight(module) + at::mm(left, right));
  }
}

TEST(Vera, TheProjectionNeedNotBeInTheFile) {
  const test::MethodFormula without("vera", {{"rank", 6}, {"save_projection", false}});
  const test::MethodFormula with("vera", {{"rank", 6}});
  EXPECT_EQ(file_tensors(without.adapter).size() + 2, file_tensors(with.adapter).size());
  EXPECT_LT(at::max(at::abs(without.merged("q_proj") - with.merged("q_proj"))).item<double>(), 1e-6);
}

}  // namespace
}  // namespace lowrank
