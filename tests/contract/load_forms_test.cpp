// What every method promises in the types and layouts that users run (support/load_forms.h): the gradient of
// the fused kernels is that of the plain operations in f64, and a merged model computes what the adapter
// does.
#include <algorithm>
#include <cmath>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "contract/contract.h"
#include "peft/merge/merge.h"

namespace lowrank {
namespace {

using Param = std::tuple<test::ContractCase, test::LoadForm>;

class FormContract : public test::ContractFixture, public testing::WithParamInterface<Param> {
 protected:
  void SetUp() override { prepare(std::get<0>(GetParam())); }
  static const test::LoadForm& form() { return std::get<1>(GetParam()); }
};

/// Largest distance of a parameter's gradients, relative to that parameter's or to a hundredth of the whole
/// gradient's norm, whichever is larger.
double distance(const Adapter& ours, const Adapter& expected) {
  const double whole = expected.parameters->gradients().norm().item<double>();
  double largest = 0;
  for (const ParameterSpec& spec : expected.plan.parameters) {
    if (spec.frozen) continue;
    const at::Tensor truth = expected.parameters->at(spec.name).grad().cpu();
    const at::Tensor found = ours.parameters->at(spec.name).grad().cpu().to(at::kDouble);
    const double norm = std::max(truth.norm().item<double>(), 0.01 * whole);
    largest = std::max(largest, (found - truth).norm().item<double>() / norm);
  }
  return largest;
}

TEST_P(FormContract, GradientIsThatOfPlainOperationsInF64) {
  Adapter adapter = stirred();
  Adapter exact = fresh(at::kDouble);
  {
    const at::NoGradGuard no_grad;
    for (const ParameterSpec& spec : adapter.plan.parameters) {
      at::Tensor value = exact.parameters->at(spec.name);
      value.copy_(adapter.parameters->at(spec.name));
    }
  }
  const auto expected = loss_and_gradient(*model(exact, at::kDouble), exact, batch);
  const auto found = loss_and_gradient(*model(adapter, form().options()), adapter, batch);
  // Reached: 2e-7 and 1e-5 in f32, 0.005 and 0.33 in bf16.
  EXPECT_LT(std::abs(found.first - expected.first) / expected.first,
            rounding() * (form().is_f32() ? 1e-6 : 0.01));
  EXPECT_LT(distance(adapter, exact), rounding() * (form().is_f32() ? 3e-5 : 0.5));
  const double whole = (found.second.to(at::kDouble) - expected.second).norm().item<double>() /
                       expected.second.norm().item<double>();
  // Reached: 2e-6 in f32; in bf16 0.12, and 0.08 by most.
  EXPECT_LT(whole, rounding() * (form().is_f32() ? 2e-5 : 0.2));
}

TEST_P(FormContract, MergedEqualsUnmerged) {
  const Adapter adapter = stirred_on_cpu();
  const auto merges = [&](const TensorRef& tensor) { return adapter.method->merges(tensor); };
  if (std::ranges::none_of(checkpoint->spec().tensors, merges))
    GTEST_SKIP() << "cannot be merged: " << adapter.method->why_not_merged();
  try {
    merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
  const auto merged = Checkpoint::open(folder.path() / "merged");
  Adapter unmerged = stirred();
  unmerged.method->begin_step({});
  const at::Tensor expected = logits(*model(unmerged, form().options()), *unmerged.method, batch);
  const at::Tensor found = logits(*merged->family().load(merged, form().options()), Hooks(), batch);
  // Reached: 2.3e-6 in f32, 0.102 in bf16.
  EXPECT_LT(test::difference(found, expected) / at::max(at::abs(expected)).item<double>(),
            rounding() * (form().is_f32() ? 1e-5 : 0.15));
}

std::string name_of_param(const testing::TestParamInfo<Param>& info) {
  return std::get<0>(info.param).name() + "_in_" + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(AllMethodsOnAllFamilies, FormContract,
                         testing::Combine(testing::ValuesIn(test::default_cases()),
                                          testing::ValuesIn(test::load_forms)),
                         name_of_param);
// The layout of the frozen product does not affect what options change.
INSTANTIATE_TEST_SUITE_P(ExamplesOfOptions, FormContract,
                         testing::Combine(testing::ValuesIn(test::example_cases()),
                                          testing::Values(test::f32_one, test::bf16_one)),
                         name_of_param);

}  // namespace
}  // namespace lowrank
