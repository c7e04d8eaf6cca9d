// Attention on a device whose memory the CPU cannot reach: in one call of flash attention where it computes
// the plan, else sequence by sequence.
#include <set>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/item.h>
#include <gtest/gtest.h>

#include "kernels/attention_cases.h"
#include "kernels/operations/flash_attention.h"
#include "support/stand_in_device.h"
#include "support/test_device.h"

namespace lowrank {
namespace {

using namespace attention_cases;

/// The same operands there.
Inputs on_device(const Inputs& inputs) {
  const at::Device device = test::test_device();
  const auto there = [&](const at::Tensor& t) {
    return t.detach().to(device).set_requires_grad(t.requires_grad());
  };
  Inputs result{there(inputs.qkv), {}, there(inputs.dout)};
  for (const KeyValue& source : inputs.extra) result.extra.push_back({there(source.k), there(source.v)});
  return result;
}

double relative_error(const at::Tensor& a, const at::Tensor& expected) {
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.detach().to(at::kCPU).to(at::kDouble), y = expected.detach().to(at::kDouble);
  EXPECT_TRUE(x.isfinite().all().item<bool>());
  return x.sub(y).abs().max().item<double>() / std::max(1e-3, y.abs().max().item<double>());
}

void expect_equal(const Result& a, const Result& expected, double most) {
  EXPECT_LT(relative_error(a.out, expected.out), most);
  ASSERT_EQ(a.grads.size(), expected.grads.size());
  for (size_t i = 0; i < a.grads.size(); ++i) {
    ASSERT_EQ(a.grads[i].defined(), expected.grads[i].defined()) << "gradient " << i;
    if (a.grads[i].defined()) {
      EXPECT_LT(relative_error(a.grads[i], expected.grads[i]), most) << "gradient " << i;
    }
  }
}

TEST(DeviceAttention, EqualsReference) {
  if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(c.name);
    for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat}) {
      const Inputs inputs = make_inputs(c, type);
      const Result truth = run(attention_reference, to_type(inputs, at::kDouble), c);
      const double most = type == at::kBFloat16 ? 1e-2 : type == at::kHalf ? 2e-3 : 5e-6;
      expect_equal(run(attention, on_device(inputs), c), truth, most);
    }
  }
}

/// Whether flash attention takes a case's plan as it is.
bool taken(const Case& c) {
  const Inputs inputs = on_device(make_inputs(c, at::kBFloat16));
  return flash_attention(inputs.qkv, inputs.extra, c.plan, c.shape).has_value();
}

TEST(DeviceAttention, FlashAttentionTakesWhatItComputes) {
  if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  // Some of its queries come before all keys of their run.
  const std::set<std::string> others{"gaps and unseen keys"};
  for (const Case& c : all_cases())
    EXPECT_EQ(taken(c), c.shape.softcap == 0 && !others.contains(c.name)) << c.name;
  Case odd = all_cases().front();
  odd.shape.head_dim = 12;
  odd.plan = packed_plan(std::vector<int64_t>{0, odd.rows});
  EXPECT_FALSE(taken(odd));
}

/// What a second layer of the same plan sends.
int64_t sent_again(const Case& c, const AttentionShape& second) {
  const Inputs inputs = on_device(make_inputs(c, at::kBFloat16));
  const auto plan = std::make_shared<AttentionPlan>(c.plan);
  const at::NoGradGuard no_grad;
  attention(inputs.qkv, inputs.extra, plan, c.shape);
  const int64_t before = test::stand_in_crossings().to_device;
  attention(inputs.qkv, inputs.extra, plan, second);
  return test::stand_in_crossings().to_device - before;
}

TEST(DeviceAttention, APlanIsSentOnce) {
  if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  for (const Case& c : all_cases()) {
    if (!taken(c)) continue;
    EXPECT_EQ(sent_again(c, c.shape), 0) << c.name;
    AttentionShape window = c.shape;
    window.window = window.window == 0 ? 7 : 0;
    EXPECT_LE(sent_again(c, window), 1) << c.name;
  }
}

TEST(DeviceAttention, ACopyOfAPlanMayBeChanged) {
  if (test::test_device().is_cpu()) GTEST_SKIP() << "for a device: LOWRANK_TEST_DEVICE=stand_in";
  Case c = all_cases().front();
  const Inputs inputs = make_inputs(c, at::kBFloat16), there = on_device(inputs);
  run(attention, there, c);
  c.plan = packed_plan(std::vector<int64_t>{0, 3, c.rows});
  expect_equal(run(attention, there, c), run(attention_reference, to_type(inputs, at::kDouble), c), 1e-2);
}

}  // namespace
}  // namespace lowrank
