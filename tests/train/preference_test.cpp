// What the seam between trainer and objective is for: a loss that weighs targets by a function of the losses
// themselves. DPO (Rafailov et al. 2023, arXiv 2305.18290) on pairs of rows, with the bare base as the
// reference from the same model:
//   -log sigmoid(beta ((log p(chosen) - log p0(chosen)) - (log p(rejected) - log p0(rejected))))
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "data/training_batch.h"
#include "peft/core/registry.h"
#include "support/gradient_check.h"
#include "support/tiny_model.h"
#include "train/trainer.h"

namespace lowrank {
namespace {

constexpr double beta = 0.5;

/// log p of each example from the losses of its targets, [examples].
at::Tensor log_probabilities(const at::Tensor& nll, const Targets& targets, int64_t examples) {
  return at::zeros({examples}, nll.options()).index_add(0, at::tensor(targets.examples, at::kLong), nll, -1);
}

/// Losses of pairs from log p of policy and reference; each chosen row comes before its rejected one.
at::Tensor pair_losses(const at::Tensor& policy, const at::Tensor& reference) {
  const at::Tensor gain = (policy - reference).view({-1, 2});
  return -at::log_sigmoid(beta * (gain.select(1, 0) - gain.select(1, 1)));
}

/// Examples 2k and 2k + 1 are a pair, and a micro-batch holds all of them.
struct Preference final : Objective {
  explicit Preference(const Model& of) : model(of) {}

  int64_t terms(const Batch& laid_out) const override {
    return (*std::ranges::max_element(laid_out.targets.examples) + 1) / 2;
  }

  at::Tensor sum(const ScoredBatch& batch, Figures& figures) const override {
    const int64_t examples = 2 * terms(batch.laid_out);
    const at::Tensor policy = log_probabilities(batch.loss.nll, batch.laid_out.targets, examples);
    at::Tensor reference;
    {
      const at::NoGradGuard no_grad;
      const TargetLoss plain = batch_loss(model, {&batch.given}, Hooks());
      reference = log_probabilities(plain.nll, batch.given.targets, examples);
    }
    const at::Tensor losses = pair_losses(policy, reference);
    figures["preferred"] += (losses < std::log(2.0)).sum().item<double>();
    return losses.sum();
  }

  const Model& model;
};

/// Two pairs with one prompt each, on a tiny Llama.
class PreferenceTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder.path(), test::tiny_llama_config());
    checkpoint = Checkpoint::open(folder.path());
    const std::vector<Example> prompts = test::random_examples({5, 4}, 64, 21);
    rows = test::random_examples({3, 6, 4, 2}, 64);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<int64_t>& prompt = prompts[i / 2].tokens;
      rows[i].tokens.insert(rows[i].tokens.begin(), prompt.begin(), prompt.end());
      rows[i].labels.insert(rows[i].labels.begin(), prompt.size(), no_target);
    }
    shared = make_training_batch(rows, all, adapter_for(at::kFloat).plan.context_rows == 0);
  }

  Adapter adapter_for(at::ScalarType type) const {
    const MethodInfo& info = method_named(GetParam());
    Adapter adapter = make_adapter(info, info.make(), *checkpoint, type);
    adapter.method->initialise(*checkpoint, 3);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.1 * random.normal();
    return adapter;
  }

  std::unique_ptr<Model> model_for(const Adapter& adapter, at::ScalarType type) const {
    LoadOptions load;
    load.compute = type;
    load.training = true;
    load.use = uses_of(adapter.plan);
    return checkpoint->family().load(checkpoint, load);
  }

  double loss(const Model& model, Adapter& adapter, bool backward) const {
    Batch laid_out = shared;
    adapter.method->layout(laid_out);
    adapter.method->begin_step({1, 1});
    const TargetLoss scored = batch_loss(model, {&laid_out, true}, *adapter.method);
    Figures figures;
    const at::Tensor sum = Preference(model).sum({shared, laid_out, scored}, figures);
    if (backward) {
      adapter.parameters->zero_gradients();
      sum.backward();
      adapter.method->end_backward();
    }
    return sum.item<double>();
  }

  /// log p of each row alone, from whole logits.
  at::Tensor by_hand(const Model& model, const Hooks& hooks) const {
    const at::NoGradGuard no_grad;
    at::Tensor found = at::zeros({std::ssize(rows)}, at::kDouble);
    for (size_t i = 0; i < rows.size(); ++i) {
      Batch alone = test::batch_of({rows[i]});
      hooks.layout(alone);
      const at::Tensor logits = batch_logits(model, {&alone}, hooks, alone.targets.rows, nullptr);
      const at::Tensor chosen =
          at::log_softmax(logits, 1).gather(1, at::tensor(alone.targets.tokens, at::kLong).unsqueeze(1));
      found[static_cast<int64_t>(i)] = chosen.sum();
    }
    return found;
  }

  const std::vector<int64_t> all{0, 1, 2, 3};
  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> rows;
  Batch shared;
};

TEST_P(PreferenceTest, GradientsMatchFiniteDifferences) {
  Adapter adapter = adapter_for(at::kDouble);
  const auto model = model_for(adapter, at::kDouble);
  test::expect_gradients(
      *adapter.parameters, [&](bool backward) { return loss(*model, adapter, backward); }, 13);
}

TEST_P(PreferenceTest, ThoseOfTheChunkedLossAreThoseInF64) {
  Adapter exact = adapter_for(at::kDouble), adapter = adapter_for(at::kFloat);
  exact.parameters->values().detach().copy_(adapter.parameters->values());
  const double expected = loss(*model_for(exact, at::kDouble), exact, true);
  EXPECT_NEAR(loss(*model_for(adapter, at::kFloat), adapter, true), expected, 1e-5);
  const at::Tensor difference = exact.parameters->gradients() - adapter.parameters->gradients();
  EXPECT_LT(difference.abs().max().item<double>(),
            1e-4 * exact.parameters->gradients().abs().max().item<double>());
}

TEST_P(PreferenceTest, IsTheFormulaOnRowsComputedAlone) {
  Adapter adapter = adapter_for(at::kDouble);
  const auto model = model_for(adapter, at::kDouble);
  const double found = loss(*model, adapter, false);
  at::Tensor policy = by_hand(*model, *adapter.method).set_requires_grad(true);
  const at::Tensor reference = by_hand(*model, Hooks());
  const at::Tensor expected = pair_losses(policy, reference).sum();
  EXPECT_NEAR(found, expected.item<double>(), 1e-10);
  EXPECT_GT(std::abs(found - 2 * std::log(2.0)), 1e-3);
  expected.backward();

  Batch laid_out = shared;
  adapter.method->layout(laid_out);
  const at::Tensor nll =
      batch_loss(*model, {&laid_out}, *adapter.method).nll.detach().set_requires_grad(true);
  Figures figures;
  Preference(*model).sum({shared, laid_out, {{}, nll}}, figures).backward();
  for (int64_t n = 0; n < nll.numel(); ++n)
    EXPECT_NEAR(nll.grad()[n].item<double>(), -policy.grad()[laid_out.targets.examples[n]].item<double>(),
                1e-10);
}

TEST_P(PreferenceTest, ATrainerLearnsToPreferTheChosen) {
  Adapter adapter = adapter_for(at::kFloat);
  const auto model = model_for(adapter, at::kFloat);
  TrainOptions options;
  options.steps = 40;
  options.lr = 5e-2;
  Trainer trainer(*model, adapter, options, plan_run(options, std::nullopt));
  const Preference preference(*model);
  const double before = loss(*model, adapter, false) / 2;
  const StepResult first = trainer.step({{shared}, 20}, preference);
  EXPECT_NEAR(first.loss, before, 1e-6);
  StepResult last;
  while (!trainer.done()) last = trainer.step({{shared}, 20}, preference);
  EXPECT_LT(last.loss, 0.8 * first.loss);
  EXPECT_EQ(last.figures.at("preferred"), 1);
}

INSTANTIATE_TEST_SUITE_P(Methods, PreferenceTest, testing::Values("lora", "prompt_tuning", "ia3"));

}  // namespace
}  // namespace lowrank
