// An adapter taken out of the model that it was merged into.
#include "peft/merge/undone.h"

#include <set>

#include <gtest/gtest.h>

#include "peft/merge/merge.h"
#include "support/adapters.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class Undone : public testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(model(), test::tiny_config("gpt2"));
    base_ = Checkpoint::open(model());
  }

  std::filesystem::path model() const { return folder_.path() / "model"; }

  /// The largest difference between W and what is left of it, over all tensors that the adapter changes.
  static double rest_of(const Checkpoint& base, const Adapter& adapter) {
    const at::NoGradGuard no_grad;
    double largest = 0;
    for (const TensorRef& tensor : base.spec().tensors) {
      if (!adapter.method->merges(tensor)) continue;
      const at::Tensor value = base.start(base.source(tensor), 0);
      const auto left = adapter.method->unmerged(tensor, *adapter.method->merged(tensor, value));
      check(left.has_value(), ErrorKind::unsupported, "{}", adapter.method->why_not_unmerged());
      largest = std::max(largest, test::largest_difference(*left, value));
    }
    return largest;
  }

  Adapter adapter_of(const MethodInfo& info, std::string_view options) const {
    std::unique_ptr<Method> method = info.make();
    apply(method->fields(), nlohmann::json::parse(options), "test");
    Adapter adapter = make_adapter(info, std::move(method), *base_);
    adapter.method->initialise(*base_, 11);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.02 * random.normal();
    return adapter;
  }

  test::TemporaryFolder folder_;
  std::shared_ptr<const Checkpoint> base_;
};

TEST_F(Undone, LeavesTheBaseForEveryMethodThatCanBeInverted) {
  std::set<std::string> refused, inverted;
  for (const MethodInfo* info : methods()) {
    std::vector<std::string> sets;
    for (const OptionExample& example : info->examples) sets.emplace_back(example.options);
    if (sets.empty()) sets.emplace_back("{}");
    for (const std::string& options : sets) {
      try {
        const Adapter adapter = adapter_of(*info, options);
        const bool merges = std::ranges::any_of(
            base_->spec().tensors, [&](const TensorRef& tensor) { return adapter.method->merges(tensor); });
        if (!merges) continue;
        EXPECT_LT(rest_of(*base_, adapter), 3e-6) << info->name << options;
        inverted.insert(std::string(info->name));
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported) << info->name << error.what();
        refused.insert(std::string(info->name));
      }
    }
  }
  for (const char* name : {"dora", "pissa", "olora", "bitfit", "full", "layer_norm"})
    EXPECT_TRUE(refused.contains(name) && !inverted.contains(name)) << name;
  for (const char* name :
       {"adalora", "did", "gralora", "hira", "ia3", "lora", "miss", "oft", "rslora", "said", "vera"})
    EXPECT_TRUE(inverted.contains(name)) << name;
}

TEST_F(Undone, AMergedFolderBecomesTheBaseAgain) {
  const Adapter adapter = adapter_of(method_named("lora"), R"({"rank": 4, "target_modules": "all-linear"})");
  merge_to_folder(*base_, adapter, std::nullopt, folder_.path() / "merged");
  const auto merged = Checkpoint::open(folder_.path() / "merged");
  const auto rounding = std::make_shared<UndoneRounding>();
  Adapter again = adapter_of(method_named("lora"), R"({"rank": 4, "target_modules": "all-linear"})");
  const MergeResult result = merge_to_folder(*merged, inverse_of(std::move(again), merged, rounding),
                                             std::nullopt, folder_.path() / "left");
  const auto left = Checkpoint::open(folder_.path() / "left");
  double largest = 0;
  int64_t different = 0;
  for (const TensorRef& tensor : base_->spec().tensors) {
    if (!base_->find(tensor)) continue;
    const at::Tensor before = base_->read(tensor, at::kFloat), after = left->read(tensor, at::kFloat);
    largest = std::max(largest, test::largest_difference(before, after));
    different += before.ne(after).sum().item<int64_t>();
  }
  EXPECT_GT(result.changed, 0);
  EXPECT_GT(rounding->values, 0);
  EXPECT_EQ(rounding->others, 0);
  EXPECT_LE(largest, 2 * rounding->largest);
  // Where the grid is no coarser, W comes back but for ties.
  EXPECT_LT(different, rounding->coarser + rounding->values / 4);
  EXPECT_LT(different, rounding->values / 2);
}

TEST_F(Undone, AMethodThatNeedsTheBaseSaysWhy) {
  const Adapter adapter = adapter_of(method_named("dora"), "{}");
  merge_to_folder(*base_, adapter, std::nullopt, folder_.path() / "merged");
  const auto merged = Checkpoint::open(folder_.path() / "merged");
  const auto rounding = std::make_shared<UndoneRounding>();
  const Adapter inverse = inverse_of(adapter_of(method_named("dora"), "{}"), merged, rounding);
  test::expect_error(ErrorKind::unsupported, "taken out", "norms",
                     [&] { merge_to_folder(*merged, inverse, std::nullopt, folder_.path() / "left"); });
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "left"));
}

TEST_F(Undone, ScalesOfZeroCannotBeTakenBack) {
  const Adapter adapter = adapter_of(method_named("ia3"), "{}");
  const at::NoGradGuard no_grad;
  adapter.parameters->values().zero_();
  test::expect_error(ErrorKind::invalid, "", "multiplied by zeros", [&] { rest_of(*base_, adapter); });
}

}  // namespace
}  // namespace lowrank
