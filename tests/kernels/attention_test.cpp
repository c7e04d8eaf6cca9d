#include "kernels/operations/attention.h"

#include <cstring>
#include <limits>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/all.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/item.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "base/error.h"
#include "kernels/attention_cases.h"
#include "kernels/core/parallel.h"
#include "kernels/highway_target.h"

namespace lowrank {
namespace {

using namespace attention_cases;

/// Largest difference over the largest magnitude of the expected values.
double relative_error(const at::Tensor& a, const at::Tensor& expected) {
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.detach().to(at::kDouble), y = expected.detach().to(at::kDouble);
  return x.sub(y).abs().max().item<double>() / std::max(1e-3, y.abs().max().item<double>());
}

/// The largest relative error of the result and its gradients.
double largest_error(const Result& a, const Result& expected, const std::string& what) {
  double largest = relative_error(a.out, expected.out);
  EXPECT_EQ(a.grads.size(), expected.grads.size());
  for (size_t i = 0; i < a.grads.size(); ++i) {
    EXPECT_EQ(a.grads[i].defined(), expected.grads[i].defined()) << what << ": gradient " << i;
    if (a.grads[i].defined() && expected.grads[i].defined())
      largest = std::max(largest, relative_error(a.grads[i], expected.grads[i]));
    if (a.grads[i].defined() && !a.grads[i].isfinite().all().item<bool>())
      return std::numeric_limits<double>::infinity();
  }
  return largest;
}

bool same_bits(const Result& a, const Result& b) {
  bool same = at::equal(a.out, b.out);
  for (size_t i = 0; i < a.grads.size(); ++i)
    same = same && a.grads[i].defined() == b.grads[i].defined() &&
           (!a.grads[i].defined() || at::equal(a.grads[i], b.grads[i]));
  return same;
}

Case case_named(const std::string& name) {
  for (const Case& c : all_cases())
    if (c.name == name) return c;
  throw std::invalid_argument(name);
}

/// Every case in both types against the reference in double on the same, rounded, operands.
void compare_with_reference() {
  double worst_f32 = 0, worst_bf16 = 0;
  for (const Case& c : all_cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Inputs inputs = make_inputs(c, type);
      const Result truth = run(attention_reference, to_type(inputs, at::kDouble), c);
      const double error = largest_error(run(attention, inputs, c), truth, c.name);
      EXPECT_LT(error, type == at::kFloat ? 5e-6 : 1e-2) << c.name << " " << at::toString(type);
      double& worst = type == at::kFloat ? worst_f32 : worst_bf16;
      worst = std::max(worst, error);
    }
  }
  std::printf("largest relative error: f32 %.1e, bf16 %.1e\n", worst_f32, worst_bf16);
}

TEST(Attention, EqualsReferenceOnEveryTarget) {
  for (const int64_t target : compiled_targets()) {
    if (!can_run(target)) {
      std::printf("%s\n", skip_reason(target).c_str());
      continue;
    }
    std::printf("%s: ", target_name(target).c_str());
    const Target chosen(target);
    compare_with_reference();
  }
}

TEST(Attention, ReferenceGradientsMatchFiniteDifferences) {
  for (const char* name : {"gaps and unseen keys", "overlapping key runs", "encoder with window 5", "d8 9/3",
                           "capped with window"}) {
    const Case c = case_named(name);
    const Inputs inputs = to_type(make_inputs(c, at::kFloat), at::kDouble);
    const Result exact = run(attention_reference, inputs, c);
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> leaves{inputs.qkv};
    for (const KeyValue& source : inputs.extra) leaves.insert(leaves.end(), {source.k, source.v});
    const auto loss = [&] {
      return attention_reference(inputs.qkv, inputs.extra, std::make_shared<AttentionPlan>(c.plan), c.shape)
          .mul(inputs.dout)
          .sum()
          .item<double>();
    };
    for (size_t i = 0; i < leaves.size(); ++i) {
      const at::Tensor direction = at::randn_like(leaves[i]);
      const double step = 1e-5;
      leaves[i].add_(direction, step);
      const double above = loss();
      leaves[i].add_(direction, -2 * step);
      const double below = loss();
      leaves[i].add_(direction, step);
      const double expected = exact.grads[i].mul(direction).sum().item<double>();
      EXPECT_NEAR((above - below) / (2 * step), expected, 1e-6 * std::max(1.0, std::abs(expected)))
          << name << " " << i;
    }
  }
}

TEST(Attention, BitsDependNeitherOnTheRunNorOnTheThreads) {
  const int before = thread_count();
  for (const Case& c : all_cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Inputs inputs = make_inputs(c, type);
      set_thread_count(1);
      const Result one = run(attention, inputs, c);
      set_thread_count(2);
      EXPECT_TRUE(same_bits(run(attention, inputs, c), one)) << c.name;
      set_thread_count(3);
      EXPECT_TRUE(same_bits(run(attention, inputs, c), one)) << c.name;
    }
  }
  set_thread_count(before);
}

TEST(Attention, SharedPromptEqualsOneCopyASequence) {
  const AttentionShape shape{6, 2, 16, 0.25, true, 0};
  const int64_t prompt = 70;
  AttentionPlan shared;
  shared.queries.push_back({0, prompt, 0, 0, 1});
  shared.keys.push_back({0, 0, prompt, 0});
  std::vector<int64_t> copied_rows, offsets{0}, answers;
  int64_t rows = prompt;
  for (const int64_t length : {5, 31, 1, 12}) {
    shared.queries.push_back({rows, length, prompt, static_cast<int64_t>(shared.keys.size()), 2});
    shared.keys.push_back({0, 0, prompt, 0});
    shared.keys.push_back({0, rows, length, prompt});
    for (int64_t i = 0; i < prompt; ++i) copied_rows.push_back(i);
    for (int64_t i = 0; i < length; ++i) {
      answers.push_back(static_cast<int64_t>(copied_rows.size()));
      copied_rows.push_back(rows + i);
    }
    offsets.push_back(static_cast<int64_t>(copied_rows.size()));
    rows += length;
  }
  const at::Tensor qkv = at::randn({rows, 160}).set_requires_grad(true),
                   dout = at::randn({rows - prompt, 96});
  const at::Tensor a =
      attention(qkv, {}, std::make_shared<AttentionPlan>(shared), shape).narrow(0, prompt, rows - prompt);
  const at::Tensor b = attention(qkv.index_select(0, at::tensor(copied_rows)), {},
                                 std::make_shared<AttentionPlan>(packed_plan(offsets)), shape)
                           .index_select(0, at::tensor(answers));
  EXPECT_LT(relative_error(a, b), 1e-6);
  const auto da = torch::autograd::grad({a}, {qkv}, {dout}), db = torch::autograd::grad({b}, {qkv}, {dout});
  EXPECT_LT(relative_error(da[0], db[0]), 2e-6);
}

TEST(Attention, OnlyAskedGradientsAreGiven) {
  const Case c = case_named("prefix");
  const Inputs inputs = make_inputs(c, at::kFloat);
  const Result all = run(attention, inputs, c);
  const auto plan = std::make_shared<AttentionPlan>(c.plan);
  // The lowest layer of a tuned prefix: qkv is frozen.
  const at::Tensor frozen = inputs.qkv.detach();
  const auto prefix = torch::autograd::grad({attention(frozen, inputs.extra, plan, c.shape)},
                                            {inputs.extra[0].k, inputs.extra[0].v}, {inputs.dout});
  EXPECT_TRUE(at::equal(prefix[0], all.grads[1]));
  EXPECT_TRUE(at::equal(prefix[1], all.grads[2]));
  const std::vector<KeyValue> cache{{inputs.extra[0].k.detach(), inputs.extra[0].v.detach()}};
  const auto own =
      torch::autograd::grad({attention(inputs.qkv, cache, plan, c.shape)}, {inputs.qkv}, {inputs.dout});
  EXPECT_TRUE(at::equal(own[0], all.grads[0]));
  EXPECT_FALSE(attention(frozen, cache, plan, c.shape).requires_grad());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(attention(inputs.qkv, inputs.extra, plan, c.shape).requires_grad());
}

TEST(Attention, StridedOperands) {
  const Case c = case_named("prefix");
  const Inputs inputs = make_inputs(c, at::kBFloat16);
  const Result plain = run(attention, inputs, c);
  Inputs strided = inputs;
  const auto within = [](const at::Tensor& t) {
    const at::Tensor wide = at::zeros({t.size(0), t.size(1) + 24}, t.options());
    return wide.narrow(1, 8, t.size(1)).copy_(t.detach()).detach().set_requires_grad(t.requires_grad());
  };
  strided.qkv = within(inputs.qkv);
  strided.extra[0] = {within(inputs.extra[0].k),
                      inputs.extra[0].v.detach().t().contiguous().t().set_requires_grad(true)};
  strided.dout = inputs.dout.t().contiguous().t();
  EXPECT_TRUE(same_bits(run(attention, strided, c), plain));
}

TEST(Attention, NoRows) {
  const AttentionShape shape{4, 2, 8, 1, true, 0};
  const at::Tensor qkv = at::zeros({0, 64}).set_requires_grad(true);
  const at::Tensor out = attention(qkv, {}, std::make_shared<AttentionPlan>(), shape);
  EXPECT_EQ(out.size(1), 32);
  EXPECT_EQ(torch::autograd::grad({out}, {qkv}, {at::zeros({0, 32})})[0].numel(), 0);
}

TEST(Attention, WrongPlansAndOperandsAreRefused) {
  const AttentionShape shape{4, 2, 8, 1, true, 0};
  const at::Tensor qkv = at::zeros({10, 64});
  const auto refused = [&](const AttentionPlan& plan, const AttentionShape& s) {
    EXPECT_THROW(attention(qkv, {}, std::make_shared<AttentionPlan>(plan), s), Error);
  };
  refused({{{0, 11, 0, 0, 1}}, {{0, 0, 10, 0}}}, shape);
  refused({{{-1, 2, 0, 0, 1}}, {{0, 0, 10, 0}}}, shape);
  refused({{{0, 10, 0, 0, 2}}, {{0, 0, 10, 0}}}, shape);
  refused({{{0, 10, 0, 0, 1}}, {{0, 5, 6, 0}}}, shape);
  refused({{{0, 10, 0, 0, 1}}, {{1, 0, 10, 0}}}, shape);
  refused({{{0, 6, 0, 0, 1}, {5, 5, 0, 0, 1}}, {{0, 0, 10, 0}}}, shape);
  refused(packed_plan(std::vector<int64_t>{0, 10}), {4, 3, 8, 1, true, 0});
  refused(packed_plan(std::vector<int64_t>{0, 10}), {4, 2, 16, 1, true, 0});
  refused(packed_plan(std::vector<int64_t>{0, 10}), {4, 2, 8, 1, true, -1});
  EXPECT_THROW(packed_plan(std::vector<int64_t>{0, 10, 9}), Error);
}

TEST(Attention, SecondDerivativeIsRefused) {
  const Case c = case_named("d8 9/3");
  const Inputs inputs = make_inputs(c, at::kFloat);
  const at::Tensor out = attention(inputs.qkv, {}, std::make_shared<AttentionPlan>(c.plan), c.shape);
  EXPECT_THROW(torch::autograd::grad({out}, {inputs.qkv}, {inputs.dout}, true, true), Error);
}

}  // namespace
}  // namespace lowrank
