// SAID: scales by tensor out of the same budget.
#include "base/error.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Said, ScalesEachTensorsProjection) {
  const test::MethodFormula said("said", {{"intrinsic_dimension", 60}});
  const auto tensors = static_cast<int64_t>(said.adapter.plan.targets.size());
  EXPECT_EQ(said.adapter.parameters->count(), 60);
  const at::Tensor lambda = said.adapter.parameters->at("said_lambda").detach();
  EXPECT_EQ(lambda.numel(), tensors);
  const std::vector<std::string>& names = said.adapter.plan.targets;
  const auto place = std::ranges::find(names, "model.layers.1.self_attn.q_proj.weight") - names.begin();
  const at::Tensor update = said.merged("q_proj") - said.weight("q_proj");
  const double scale = lambda[place].item<double>();
  said.adapter.parameters->at("said_lambda").detach().fill_(1);
  said.expect_merged("q_proj", said.weight("q_proj") + update / scale);
}

TEST(Said, RefusesABudgetThatTheScalesUseUp) {
  EXPECT_THROW(test::MethodFormula("said", {{"intrinsic_dimension", 10}}), Error);
}

}  // namespace
}  // namespace lowrank
