// Operations on the device of LOWRANK_TEST_DEVICE against the same on the CPU: results and gradients.
#include <cmath>
#include <functional>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "kernels/core/device_kernels.h"
#include "kernels/losses/target_loss.h"
#include "kernels/operations/adamw.h"
#include "kernels/operations/dropout.h"
#include "kernels/operations/glu.h"
#include "kernels/operations/head_norm.h"
#include "kernels/operations/rms_norm.h"
#include "kernels/operations/rope.h"
#include "kernels/tensor_error.h"
#include "support/test_device.h"

namespace lowrank {
namespace {

constexpr int64_t rows = 37;

class DeviceOperations : public testing::Test {
 protected:
  void SetUp() override {
    if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
    ASSERT_NE(kernels_for(test::test_device()).rms_norm_forward, nullptr) << "the device has no kernels";
  }

  using Tensors = std::vector<at::Tensor>;

  /// compute(operands) on the device and on the CPU: results, and gradients of all operands whose number is
  /// below `differentiable`.
  static void compare(const Tensors& operands, size_t differentiable,
                      const std::function<Tensors(const Tensors&)>& compute, double close) {
    Tensors there, here;
    for (size_t i = 0; i < operands.size(); ++i) {
      there.push_back(operands[i].to(test::test_device()).detach());
      here.push_back(operands[i].clone());
      for (at::Tensor* own : {&there.back(), &here.back()}) own->set_requires_grad(i < differentiable);
    }
    const Tensors ours = compute(there), expected = compute(here);
    ASSERT_EQ(ours.size(), expected.size());
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_EQ(ours[i].device(), test::test_device());
      EXPECT_LT(relative(ours[i].detach().cpu(), expected[i].detach().to(at::kDouble), 0.5), close) << i;
      const at::Tensor seed = at::randn(expected[i].sizes()).to(expected[i].scalar_type());
      if (differentiable == 0) continue;
      ours[i].backward(seed.to(test::test_device()), /*retain_graph=*/true);
      expected[i].backward(seed, /*retain_graph=*/true);
    }
    for (size_t i = 0; i < differentiable; ++i) {
      SCOPED_TRACE("gradient " + std::to_string(i));
      EXPECT_LT(relative(there[i].grad().cpu(), here[i].grad().to(at::kDouble), 0.5), close);
    }
  }

  /// In both types, with what a rounding of each costs.
  static void in_both_types(const std::function<void(at::ScalarType, double)>& check) {
    check(at::kFloat, 2e-5);
    check(at::kBFloat16, 1.0 / 64);
  }
};

TEST_F(DeviceOperations, Glu) {
  in_both_types([](at::ScalarType type, double close) {
    for (const Gate gate : {Gate::silu, Gate::gelu_tanh, Gate::gelu})
      compare(
          {at::randn({rows, 2 * 100}).to(type)}, 1,
          [&](const Tensors& x) { return Tensors{glu(x[0], gate)}; }, close);
  });
}

TEST_F(DeviceOperations, AddRmsNorm) {
  const at::Tensor weight = at::rand({100}) + 0.5;
  in_both_types([&](at::ScalarType type, double close) {
    const auto norm = [&](const Tensors& x) {
      const AddNorm both = add_rms_norm(x[0], x[1], x[2], 1e-5, type);
      return Tensors{both.stream, both.normed};
    };
    compare({at::randn({rows, 100}), at::randn({rows, 100}).to(type), weight}, 2, norm, close);
  });
  // Weights by which nothing can be divided go another way.
  const at::Tensor with_zero = weight.clone();
  with_zero[3] = 0;
  compare(
      {at::randn({rows, 100}), with_zero}, 1,
      [](const Tensors& x) { return Tensors{rms_norm(x[0], x[1], 1e-5, at::kFloat)}; }, 2e-5);
}

TEST_F(DeviceOperations, AWeightThatChangesIsReadAgain) {
  const at::Tensor x = at::randn({rows, 8}).to(test::test_device());
  const at::Tensor weight = at::ones({8}).to(test::test_device());
  for (const double value : {1.0, 0.0, 2.0}) {
    weight.fill_(value);
    const at::Tensor leaf = x.detach().set_requires_grad(true);
    rms_norm(leaf, weight, 1e-5, at::kFloat).sum().backward();
    EXPECT_TRUE(std::isfinite(leaf.grad().sum().item<double>())) << value;
  }
}

TEST_F(DeviceOperations, HeadNorm) {
  in_both_types([](at::ScalarType type, double close) {
    compare(
        {at::randn({rows, 6 * 24}).to(type), at::rand({24}), at::rand({24})}, 1,
        [](const Tensors& x) { return Tensors{head_norm(x[0], x[1], x[2], 4, 1, 1e-5)}; }, close);
  });
}

TEST_F(DeviceOperations, Rope) {
  in_both_types([](at::ScalarType type, double close) {
    for (const bool adjacent : {false, true})
      compare(
          {at::randn({rows, 6 * 24}).to(type), at::randn({rows, 10}), at::randn({rows, 10})}, 1,
          [&](const Tensors& x) {
            return Tensors{rope(x[0], {x[1], x[2], adjacent, {}}, 4, 1, 24)};
          },
          close);
  });
}

TEST_F(DeviceOperations, DropoutDrawsTheSameMask) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({rows, 11}).to(type);
    const at::Tensor there = apply_dropout(x.to(test::test_device()), {0.3, 99});
    EXPECT_TRUE(at::equal(there.cpu(), apply_dropout(x, {0.3, 99})));
  }
}

TEST_F(DeviceOperations, TargetLoss) {
  in_both_types([](at::ScalarType type, double close) {
    const at::Tensor chosen = at::randint(rows, {9}, at::kLong), targets = at::randint(500, {9}, at::kLong);
    const at::Tensor head = at::randn({500, 24}) * 0.3;
    for (const TargetLossForm form : {TargetLossForm{}, TargetLossForm{4, 0.1}}) {
      for (const size_t differentiable : {1, 2}) {
        const at::Tensor matrix = differentiable == 2 ? head : head.to(type);
        compare(
            {at::randn({rows, 24}).to(type), matrix, chosen, targets, at::rand({9})}, differentiable,
            [&](const Tensors& x) {
              const TargetLoss loss = target_loss(x[0], x[2], x[3], x[4], x[1], {}, form);
              return Tensors{loss.loss, loss.nll};
            },
            close);
      }
    }
  });
}

TEST_F(DeviceOperations, AdamW) {
  const std::vector<AdamWGroup> groups{{0, 100, 1e-2, 0.1}, {100, 300, 1e-3, 0}};
  compare(
      {at::randn({300}), at::randn({300}), at::randn({300}), at::rand({300})}, 0,
      [&](const Tensors& x) {
        Tensors changed{x[0].clone(), x[2].clone(), x[3].clone()};
        adamw_step(changed[0], x[1], changed[1], changed[2], groups, {}, 3, 0.5);
        return changed;
      },
      1e-5);
}

}  // namespace
}  // namespace lowrank
