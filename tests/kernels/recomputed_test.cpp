// A body that is computed again gives the values and gradients of the body itself; large values wait in
// memory of their own.
#include "kernels/operations/recomputed.h"

#include <vector>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

struct Computed {
  at::Tensor first, second, slope_a, slope_b, slope_parameter;
};

Computed compute(int64_t rows, bool again) {
  at::manual_seed(1);
  const at::Tensor a = leaf(at::randn({rows, 600})), b = leaf(at::randn({rows, 600}));
  const at::Tensor parameter = leaf(at::randn({600}));
  int calls = 0;
  const auto body = [&](const at::Tensor& x, const at::Tensor& y) {
    ++calls;
    return TensorPair{x * parameter + y * y, x * y};
  };
  const auto [first, second] = again ? recomputed(a, b, body, {.a = true, .b = true}) : body(a, b);
  torch::autograd::backward({first, second}, {at::ones_like(first), first.detach()});
  EXPECT_EQ(calls, again ? 2 : 1);
  return {first.detach(), second.detach(), a.grad(), b.grad(), parameter.grad()};
}

TEST(Recomputed, GivesTheSameBits) {
  // 24 kB and 12 MB.
  for (const int64_t rows : {10, 5000}) {
    const Computed once = compute(rows, false), twice = compute(rows, true);
    EXPECT_TRUE(at::equal(once.first, twice.first));
    EXPECT_TRUE(at::equal(once.second, twice.second));
    EXPECT_TRUE(at::equal(once.slope_a, twice.slope_a));
    EXPECT_TRUE(at::equal(once.slope_b, twice.slope_b));
    EXPECT_TRUE(at::equal(once.slope_parameter, twice.slope_parameter));
  }
}

TEST(Recomputed, LargeInputsWaitInMemoryOfTheirOwn) {
  for (const int64_t rows : {10, 5000}) {
    const at::Tensor a = leaf(at::randn({600, rows})).t(), b = leaf(at::randn({rows, 600}));
    std::vector<const void*> places_of_a, places_of_b;
    const auto body = [&](const at::Tensor& x, const at::Tensor& y) {
      places_of_a.push_back(x.const_data_ptr());
      places_of_b.push_back(y.const_data_ptr());
      return TensorPair{x * y, {}};
    };
    const at::Tensor out = recomputed(a, b, body, {.a = true}).first;
    torch::autograd::backward({out}, {at::ones_like(out)});
    ASSERT_EQ(places_of_a.size(), 2);
    EXPECT_EQ(places_of_a[0] != places_of_a[1], rows == 5000);
    EXPECT_EQ(places_of_b[0], places_of_b[1]);
  }
}

}  // namespace
}  // namespace lowrank
