// Shared prefixes within a micro-batch are computed once; loss and gradient equal those of rows laid out
// separately.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "data/training_batch.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

/// Ten rows of three prompts of 9, 1 and 4 tokens, the last of which is the beginning of the first; two
/// completions begin alike, one has a single token, and a row is all target.
std::vector<Example> rows_with_shared_prompts() {
  std::vector<Example> prompts = test::random_examples({9, 1, 4}, 64, 11);
  std::copy_n(prompts[0].tokens.begin(), 4, prompts[2].tokens.begin());
  std::vector<Example> rows = test::random_examples({5, 1, 7, 3, 2, 6, 4, 8, 3, 6}, 64, 12);
  std::copy_n(rows[0].tokens.begin(), 2, rows[3].tokens.begin());
  std::copy_n(rows[0].labels.begin(), 2, rows[3].labels.begin());
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    const std::vector<int64_t>& prompt = prompts[i % 3].tokens;
    rows[i].tokens.insert(rows[i].tokens.begin(), prompt.begin(), prompt.end());
    rows[i].labels.insert(rows[i].labels.begin(), prompt.size(), no_target);
  }
  return rows;
}

std::vector<int64_t> all_of(const std::vector<Example>& rows) {
  std::vector<int64_t> indices(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) indices[i] = static_cast<int64_t>(i);
  return indices;
}

struct Trained {
  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  Adapter adapter;

  Trained(const nlohmann::json& config, const std::string& method, at::ScalarType type) {
    test::write_tiny_model(folder.path(), config);
    checkpoint = Checkpoint::open(folder.path());
    const MethodInfo& info = method_named(method);
    adapter = make_adapter(info, info.make(), *checkpoint, type);
    LoadOptions load;
    load.compute = type;
    load.training = true;
    load.use = uses_of(adapter.plan);
    model = checkpoint->family().load(checkpoint, load);
    adapter.method->initialise(*checkpoint, 1);
    const at::NoGradGuard no_grad;
    adapter.parameters->values().normal_(0, 0.1);
  }

  std::pair<double, at::Tensor> loss_and_gradient(Batch batch) {
    adapter.parameters->zero_gradients();
    adapter.method->layout(batch);
    adapter.method->begin_step({1, 1});
    const TargetLoss loss = batch_loss(*model, {&batch, true}, *adapter.method);
    loss.loss.backward();
    adapter.method->end_backward();
    return {loss.loss.item<double>(), adapter.parameters->gradients().clone()};
  }
};

class PromptSharing : public testing::TestWithParam<const FamilyInfo*> {};

TEST_P(PromptSharing, LossAndGradientAreThoseOfTheRowsApart) {
  const nlohmann::json config = GetParam()->tiny_config();
  const std::vector<Example> rows = rows_with_shared_prompts();
  for (const auto& [type, tolerance] : {std::pair(at::kDouble, 1e-11), std::pair(at::kFloat, 2e-5)}) {
    Trained trained(config, "lora", type);
    const auto [loss, gradient] = trained.loss_and_gradient(make_batch(rows, all_of(rows)));
    for (const bool share : {false, true}) {
      const Batch batch = make_training_batch(rows, all_of(rows), share);
      const auto [found, slope] = trained.loss_and_gradient(batch);
      EXPECT_NEAR(found, loss, tolerance * loss) << share;
      EXPECT_LT((slope - gradient).abs().max().item<double>(),
                tolerance * gradient.abs().max().item<double>())
          << share;
      const auto all_rows = static_cast<double>(make_batch(rows, all_of(rows)).token_count());
      EXPECT_LT(static_cast<double>(batch.token_count()), (share ? 0.7 : 1) * all_rows);
    }
  }
}

std::vector<const FamilyInfo*> decoders() {
  std::vector<const FamilyInfo*> found;
  for (const FamilyInfo* family : families()) {
    if (family->spec(family->tiny_config()).task == Task::causal_lm) found.push_back(family);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Families, PromptSharing, testing::ValuesIn(decoders()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(PromptSharing, TrainerSharesUnlessDropoutOrVirtualTokensForbidIt) {
  const std::vector<Example> rows = rows_with_shared_prompts();
  TrainOptions options;
  options.steps = 2;
  options.group_prompts = true;
  Trained lora(test::tiny_llama_config(), "lora", at::kFloat);
  ExampleTrainer shared(*lora.model, lora.adapter, rows, options);
  const ModelSpec& spec = lora.checkpoint->spec();
  EXPECT_EQ(prefix_sharing_blocker(options, spec, lora.adapter), "");
  options.share_prompts = false;
  Trained same(test::tiny_llama_config(), "lora", at::kFloat);
  {
    const at::NoGradGuard no_grad;
    same.adapter.parameters->values().copy_(lora.adapter.parameters->values());
  }
  ExampleTrainer apart(*same.model, same.adapter, rows, options);
  EXPECT_NE(prefix_sharing_blocker(options, spec, same.adapter), "");
  options.share_prompts = true;
  for (int64_t i = 0; i < 2; ++i) {
    const StepResult found = shared.step(), expected = apart.step();
    EXPECT_NEAR(found.loss, expected.loss, 1e-5);
    EXPECT_NEAR(found.grad_norm, expected.grad_norm, 1e-5 * expected.grad_norm);
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.target_tokens, expected.target_tokens);
  }

  const MethodInfo& info = method_named("lora");
  auto method = info.make();
  apply(method->fields(), {{"dropout", 0.1}}, "test");
  Adapter dropping = make_adapter(info, std::move(method), *lora.checkpoint);
  EXPECT_NE(prefix_sharing_blocker(options, spec, dropping), "");
  Trained virtual_tokens(test::tiny_llama_config(), "prompt_tuning", at::kFloat);
  EXPECT_NE(prefix_sharing_blocker(options, spec, virtual_tokens.adapter), "");
}

/// Every method with dropout: masks must differ among rows with a shared prefix.
TEST(PromptSharing, NoMethodSharesUnderDropout) {
  const TrainOptions options;
  const Trained base(test::tiny_llama_config(), "lora", at::kFloat);
  int64_t found = 0;
  for (const MethodInfo* info : methods()) {
    auto method = info->make();
    std::vector<Field> fields = method->fields();
    if (!find_field(fields, "dropout")) continue;
    for (const OptionExample& example : info->examples) {
      if (example.name == small_example) apply(fields, nlohmann::json::parse(example.options), info->name);
    }
    apply(fields, {{"dropout", 0.1}}, info->name);
    const Adapter dropping = make_adapter(*info, std::move(method), *base.checkpoint);
    EXPECT_NE(prefix_sharing_blocker(options, base.checkpoint->spec(), dropping), "") << info->name;
    ++found;
  }
  EXPECT_GE(found, 10);
}

}  // namespace
}  // namespace lowrank
