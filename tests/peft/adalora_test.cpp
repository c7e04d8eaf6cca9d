// AdaLoRA's budget: the schedule, what is masked, and the pruned file.
#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_file.h"
#include "peft/low_rank/rank_budget.h"
#include "support/load_forms.h"
#include "support/method_formula.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

TEST(RankBudget, FallsFromTheStartToTheTarget) {
  const BudgetSchedule schedule{12, 8, 10, 20, 5, 100};
  EXPECT_EQ(schedule.budget(10, 4), 48);
  EXPECT_EQ(schedule.budget(45, 4), static_cast<int64_t>(16 * 0.125 + 32));
  EXPECT_EQ(schedule.budget(81, 4), 32);
  EXPECT_FALSE(schedule.allocates(10));
  EXPECT_TRUE(schedule.allocates(15));
  EXPECT_FALSE(schedule.allocates(16));
  EXPECT_TRUE(schedule.allocates(80));
  EXPECT_FALSE(schedule.allocates(85));
}

TEST(RankBudget, TheLeastImportantRanksGo) {
  const auto kept = kept_ranks({at::tensor({3.0F, 1.0F}), at::tensor({2.0F, 4.0F})}, 2);
  EXPECT_TRUE(kept[0].equal(at::tensor({1, 0}).to(at::kBool)));
  EXPECT_TRUE(kept[1].equal(at::tensor({0, 1}).to(at::kBool)));
  EXPECT_TRUE(kept_ranks({at::tensor({3.0F, 1.0F})}, 2)[0].equal(at::tensor({1, 1}).to(at::kBool)));
}

TEST(AdaLora, ThePrunedFileGivesTheSameLogits) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path() / "base", test::tiny_llama_config());
  const auto checkpoint = Checkpoint::open(folder.path() / "base");
  const MethodInfo& info = method_named("adalora");
  std::unique_ptr<Method> method = info.make();
  apply(method->fields(), {{"init_r", 4}, {"target_r", 1}}, "test");
  Adapter adapter = make_adapter(info, std::move(method), *checkpoint);
  adapter.method->initialise(*checkpoint, 3);
  LoadOptions options = test::in_f32();
  options.training = true;
  const auto model = checkpoint->family().load(checkpoint, options);
  const Batch batch = test::batch_of(test::random_examples({9}, 64));
  {
    const at::NoGradGuard no_grad;
    adapter.parameters->values().add_(0.1);
  }
  for (int64_t step = 1; step <= 4; ++step) {
    adapter.parameters->zero_gradients();
    adapter.method->begin_step({step, 4});
    batch_loss(*model, {&batch, true}, *adapter.method).loss.backward();
    adapter.method->after_step({step, 4});
  }
  save_adapter(folder.path() / "adapter", adapter, "base");
  const Adapter pruned = load_adapter(folder.path() / "adapter", *checkpoint);
  EXPECT_LT(pruned.parameters->count(), adapter.parameters->count());
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> rows{8};
  const at::Tensor ours = batch_logits(*model, {&batch}, *adapter.method, rows, nullptr);
  EXPECT_LT(
      at::max(at::abs(batch_logits(*model, {&batch}, *pruned.method, rows, nullptr) - ours)).item<double>(),
      1e-5);
  EXPECT_GT(at::max(at::abs(batch_logits(*model, {&batch}, Hooks(), rows, nullptr) - ours)).item<double>(),
            1e-4);
}

TEST(AdaLora, RanksGoFromTheFirstStepOn) {
  test::MethodFormula adalora("adalora", {{"init_r", 4}, {"target_r", 1}, {"total_step", 4}});
  const auto kept = [&] {
    const nlohmann::json pattern = adalora.adapter.method->form().config()["rank_pattern"];
    int64_t count = 0;
    for (const auto& [name, ranks] : pattern.items()) count += std::count(ranks.begin(), ranks.end(), true);
    return count;
  };
  adalora.adapter.parameters->zero_gradients();
  adalora.adapter.parameters->gradients().fill_(1);
  adalora.adapter.method->begin_step({1, 4});
  adalora.adapter.method->after_step({1, 4});
  EXPECT_EQ(kept(), static_cast<int64_t>(12 * 0.421875 + 4));  // 4 modules: 12 (1 - 1/4)^3 + 4
}

}  // namespace
}  // namespace lowrank
