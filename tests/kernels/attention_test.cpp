#include "kernels/attention.h"

#include <ATen/ops/item.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "base/error.h"
#include "kernels/attention_cases.h"
#include "kernels/parallel.h"

namespace lowrank {
namespace {

using namespace attention_cases;

/// Largest difference over the largest magnitude of the expected values.
double relative_error(const at::Tensor& a, const at::Tensor& expected) {
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.to(at::kDouble), y = expected.to(at::kDouble);
  return x.sub(y).abs().max().item<double>() / std::max(1e-3, y.abs().max().item<double>());
}

void expect_near(const Result& a, const Result& expected, double tolerance, const std::string& what) {
  EXPECT_LT(relative_error(a.out, expected.out), tolerance) << what << " out";
  ASSERT_EQ(a.grads.size(), expected.grads.size());
  for (size_t i = 0; i < a.grads.size(); ++i) {
    ASSERT_EQ(a.grads[i].defined(), expected.grads[i].defined()) << what << " gradient " << i;
    if (a.grads[i].defined()) {
      EXPECT_LT(relative_error(a.grads[i], expected.grads[i]), tolerance) << what << " gradient " << i;
    }
  }
}

TEST(Attention, EqualsReferenceInF32AndBf16) {
  for (const Case& c : all_cases()) {
    // The reference in double on the same (rounded) values is the truth.
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Inputs inputs = make_inputs(c, type);
      const Result truth = run(attention_reference, to_type(inputs, at::kDouble), c);
      expect_near(run(attention, inputs, c), truth, type == at::kFloat ? 2e-5 : 2e-2,
                  c.name + (type == at::kFloat ? " f32" : " bf16"));
    }
  }
}

}  // namespace
}  // namespace lowrank
