#pragma once

#include <cmath>
#include <functional>

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "peft/core/parameters.h"

namespace lowrank::test {

/// Compares the gradient of `loss` (which must run backward into `parameters` when `backward` is true) with
/// central differences in f64 at every `stride`-th value.
inline void expect_gradients(ParameterSet& parameters, const std::function<double(bool backward)>& loss,
                             int64_t stride, double tolerance = 1e-5) {
  parameters.zero_gradients();
  loss(true);
  const at::Tensor gradient = parameters.gradients().cpu().clone();
  const auto* computed = gradient.const_data_ptr<double>();
  const auto slope = [&](int64_t i, double step) {
    const at::NoGradGuard no_grad;
    const at::Tensor value = parameters.values().narrow(0, i, 1), before = value.clone();
    value.add_(step);
    const double above = loss(false);
    value.copy_(before).sub_(step);
    const double below = loss(false);
    value.copy_(before);
    return (above - below) / (2 * step);
  };
  double largest = 0;
  for (int64_t i = 0; i < parameters.count(); i += stride) {
    double expected = slope(i, 1e-5);
    const auto allowed = [&] { return tolerance * std::max(1.0, std::abs(expected)); };
    // A rectifier's kink may lie within the step; a shorter one leaves it outside.
    if (std::abs(computed[i] - expected) > allowed()) expected = slope(i, 1e-7);
    largest = std::max(largest, std::abs(expected));
    EXPECT_NEAR(computed[i], expected, allowed()) << "value " << i;
  }
  EXPECT_GT(largest, 1e-6) << "the loss depends on no parameter: the check says nothing";
}

}  // namespace lowrank::test
