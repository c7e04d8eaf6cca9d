// SHiRA: W + v at fixed places, which are torch's for the seed.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/sort.h>

#include "base/error.h"
#include "peft/core/low_rank_init.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(Shira, MergesByItsFormula) {
  const test::MethodFormula shira("shira", {{"rank", 2}});
  const at::Tensor v = shira.parameter("q_proj", "shira_weight");
  const at::Tensor indices = shira.parameter("q_proj", "shira_indices");
  at::Tensor expected = shira.weight("q_proj").clone();
  for (int64_t e = 0; e < v.numel(); ++e)
    expected[indices[0][e].item<int64_t>()][indices[1][e].item<int64_t>()] += v[e];
  shira.expect_merged("q_proj", expected);
}

TEST(Shira, PlacesAreThoseOfTorch) {
  const test::MethodFormula shira("shira", {{"rank", 2}, {"random_seed", 42}});
  at::Generator generator = seeded_generator(42);
  const at::Tensor all = at::randperm(16 * 32, generator, at::TensorOptions(at::kLong));
  const at::Tensor expected = std::get<0>(at::sort(all.narrow(0, 0, 2 * (16 + 32))));
  const at::Tensor indices = shira.parameter("v_proj", "shira_indices").to(at::kLong);
  EXPECT_TRUE((indices[0] * 32 + indices[1]).equal(expected));
}

TEST(Shira, PlacesOutsideTheWeightAreRefused) {
  const test::MethodFormula shira("shira", {{"rank", 2}});
  const at::NoGradGuard no_grad;
  shira.parameter("q_proj", "shira_indices")[1][3].fill_(32);
  EXPECT_THROW(shira.adapter.method->begin_step({}), Error);
}

}  // namespace
}  // namespace lowrank
