// What every method promises, on every family and with each of its option examples: run over both tables, so
// that a new entry is tested automatically.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "contract/contract.h"
#include "data/training_batch.h"
#include "peft/merge/merge.h"
#include "support/gradient_check.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

using test::difference;

class MethodContract : public test::ContractFixture, public testing::WithParamInterface<test::ContractCase> {
 protected:
  void SetUp() override { prepare(GetParam()); }
};

/// What does not change with the options.
class DefaultsContract : public MethodContract {};

TEST_P(MethodContract, EqualsTheBaseAtTheStartAndDiffersOnceStirred) {
  Adapter adapter = fresh();
  const auto adapted = model(adapter);
  adapter.method->begin_step({});
  const at::Tensor base = logits(*adapted, test::FileWeights(checkpoint, test::test_device()), batch);
  if (adapter.method->starts_from_base()) {
    EXPECT_LT(difference(logits(*adapted, *adapter.method, batch), base), 1e-5);
  }
  Adapter other = stirred();
  other.method->begin_step({});
  EXPECT_GT(difference(logits(*adapted, *other.method, batch), base), 1e-4);
}

TEST_P(MethodContract, GradientsMatchFiniteDifferences) {
  Adapter adapter = stirred(at::kDouble);
  const auto adapted = model(adapter, at::kDouble);
  test::expect_gradients(
      *adapter.parameters,
      [&](bool backward) {
        Batch laid_out = batch;
        adapter.method->layout(laid_out);
        adapter.method->begin_step({1, 1});
        const TargetLoss loss = batch_loss(*adapted, {&laid_out, true}, *adapter.method);
        if (backward) {
          loss.loss.backward();
          adapter.method->end_backward();
        }
        return loss.loss.item<double>();
      },
      // If there are many values, 25 to 75 of them: f32's gradients are compared in full
      // (load_forms_test.cpp).
      std::max<int64_t>(17, adapter.parameters->count() / (GetParam().example ? 25 : 75)));
}

TEST_P(MethodContract, LayersComputedAgainGiveTheSameGradient) {
  Adapter adapter = stirred(at::kDouble);
  const auto adapted = model(adapter, at::kDouble);
  const auto [loss, gradient] = loss_and_gradient(*adapted, adapter, batch);
  const auto [again, slope] = loss_and_gradient(*adapted, adapter, batch, true);
  EXPECT_NEAR(again, loss, 1e-12 * std::abs(loss));
  EXPECT_LT(difference(slope, gradient), 1e-12);
}

TEST_P(MethodContract, RowsReadAloneAreThoseOfAll) {
  const Adapter adapter = stirred(at::kDouble);
  adapter.method->begin_step({});
  const auto adapted = model(adapter, at::kDouble);
  const at::NoGradGuard no_grad;
  Batch laid_out = batch;
  adapter.method->layout(laid_out);
  Context context{&laid_out};
  const HiddenState all = adapted->forward(context, *adapter.method, nullptr);
  for (int64_t row = 1; row < laid_out.token_count(); row += 3) context.read.push_back(row);
  const HiddenState alone = adapted->forward(context, *adapter.method, nullptr);
  ASSERT_EQ(alone.stream.size(0), std::ssize(context.read));
  ASSERT_EQ(alone.layout.rows(), std::ssize(context.read));
  for (const int64_t row : context.read) {
    const int64_t from = all.layout.batch_rows.empty() ? row : all.layout.batch_rows[row];
    EXPECT_LT(difference(alone.stream[alone.layout.batch_rows[row]], all.stream[from]), 1e-12) << row;
  }
}

TEST_P(MethodContract, SharedPromptsGiveTheSameGradient) {
  Adapter adapter = stirred(at::kDouble);
  if (checkpoint->spec().labels) GTEST_SKIP() << "an encoder's rows see what follows them";
  if (adapter.plan.context_rows > 0) GTEST_SKIP() << "virtual tokens stand in front of each prompt";
  const std::string reason = adapter.method->prefix_sharing_blocker();
  if (!reason.empty()) GTEST_SKIP() << "prompts are not shared: " << reason;
  std::vector<Example> rows = examples;
  const Example prompt = test::random_examples({5}, 64, 21).front();
  for (Example& row : rows) {
    row.tokens.insert(row.tokens.begin(), prompt.tokens.begin(), prompt.tokens.end());
    row.labels.insert(row.labels.begin(), prompt.tokens.size(), no_target);
  }
  std::vector<int64_t> indices(rows.size());
  std::iota(indices.begin(), indices.end(), 0);
  const auto adapted = model(adapter, at::kDouble);
  const auto [loss, gradient] = loss_and_gradient(*adapted, adapter, make_batch(rows, indices));
  const Batch shared = make_training_batch(rows, indices, true);
  const auto [found, slope] = loss_and_gradient(*adapted, adapter, shared);
  EXPECT_NEAR(found, loss, 1e-12 * std::abs(loss));
  EXPECT_LT(difference(slope, gradient), 1e-11);
  EXPECT_LT(shared.token_count(), make_batch(rows, indices).token_count() - 5);
}

TEST_P(DefaultsContract, LossFallsAndOnlyParametersChange) {
  Adapter adapter = fresh();
  const auto adapted = model(adapter);
  const at::Tensor before = logits(*adapted, test::FileWeights(checkpoint, test::test_device()), batch);
  TrainOptions options;
  options.steps = 30;
  options.batch_size = 3;
  // Methods with a low rate of their own take larger steps.
  options.lr = adapter.info->default_learning_rate <= 1e-4 ? 5e-3 : 2e-2;
  ExampleTrainer trainer(*adapted, adapter, examples, options);
  const double first = trainer.step().loss;
  double lowest = first;
  while (!trainer.done()) lowest = std::min(lowest, trainer.step().loss);
  // A few dozen values cannot learn random rows.
  EXPECT_LT(lowest, (adapter.parameters->count() < 100 ? 0.99 : 0.9) * first);
  EXPECT_TRUE(at::equal(before, logits(*adapted, test::FileWeights(checkpoint, test::test_device()), batch)));
}

TEST_P(MethodContract, SavedAndLoadedBitEqual) {
  Adapter adapter = stirred();
  save_adapter(folder.path() / "adapter", adapter, "base");
  Adapter again = load_adapter(folder.path() / "adapter", *checkpoint);
  const std::vector<FileTensor> written = file_tensors(adapter);
  const std::vector<FileTensor> read = file_tensors(again);
  ASSERT_EQ(read.size(), written.size());
  for (const FileTensor& tensor : written) {
    const auto same = std::ranges::find(read, tensor.name, &FileTensor::name);
    ASSERT_NE(same, read.end()) << tensor.name;
    EXPECT_TRUE(at::equal(same->value, tensor.value.cpu())) << tensor.name;
  }
  EXPECT_EQ(again.method->form().config(), adapter.method->form().config());
}

TEST_P(MethodContract, MergedEqualsUnmergedAndASecondMergeIsRefused) {
  const Adapter adapter = stirred_on_cpu();
  const bool mergeable = std::ranges::any_of(
      checkpoint->spec().tensors, [&](const TensorRef& tensor) { return adapter.method->merges(tensor); });
  if (!mergeable) {
    EXPECT_THROW(merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged"), Error);
    GTEST_SKIP() << "cannot be merged: " << adapter.method->why_not_merged();
  }
  try {
    merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
  const auto merged = Checkpoint::open(folder.path() / "merged");
  Adapter unmerged = stirred();
  unmerged.method->begin_step({});
  EXPECT_LT(difference(logits(*merged->family().load(merged, test::in_f32()), Hooks(), batch),
                       logits(*model(unmerged), *unmerged.method, batch)),
            1e-4);
  EXPECT_THROW(merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged"), Error);
  for (const TensorRef& tensor : checkpoint->spec().tensors) {
    if (adapter.method->merges(tensor) || !checkpoint->find(tensor)) continue;
    // Experts may stand in stacks whose rows take turns.
    const bool same = tensor.expert
                          ? at::equal(checkpoint->read(tensor, at::kFloat), merged->read(tensor, at::kFloat))
                          : std::ranges::equal(checkpoint->find(tensor)->bytes, merged->find(tensor)->bytes);
    EXPECT_TRUE(same) << tensor.name;
  }
}

TEST_P(MethodContract, PackedBatchEqualsSequencesAlone) {
  Adapter adapter = stirred();
  const auto adapted = model(adapter);
  adapter.method->begin_step({});
  const at::Tensor together = logits(*adapted, *adapter.method, batch);
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const at::Tensor alone = logits(*adapted, *adapter.method, test::batch_of({examples[s]}));
    EXPECT_LT(difference(alone[0], together[s]), rounding() * 2e-5) << "sequence " << s;
  }
}

TEST_P(MethodContract, CachedPassesEqualWholeOnes) {
  Adapter adapter = stirred();
  if (!adapter.method->can_cache()) GTEST_SKIP() << "whole sequences are computed, without a cache";
  if (checkpoint->spec().labels) GTEST_SKIP() << "an encoder has no cache";
  const auto adapted = model(adapter);
  adapter.method->begin_step({});
  const at::NoGradGuard no_grad;
  KvCache cache(2, 128);
  // A prompt of 4 and a prompt of 9 tokens, then what follows, one token at a time.
  const std::vector<Example> pair{examples[0], examples[2]};
  const std::vector<int64_t> prompts{4, 9};
  for (int64_t step = 0; step < 4; ++step) {
    Batch next{{}, {}, {0}, {}, {}, prompts, {}};
    for (int64_t s = 0; s < 2; ++s) {
      for (int64_t i = step == 0 ? 0 : prompts[s] + step - 1; i < prompts[s] + step; ++i) {
        next.tokens.push_back(pair[s].tokens[i]);
        next.positions.push_back(i);
      }
      next.offsets.push_back(next.token_count());
      next.examples.push_back(s);
    }
    adapter.method->layout(next);
    const std::vector<int64_t> last{next.offsets[1] - 1, next.offsets[2] - 1};
    const at::Tensor cached = batch_logits(*adapted, {&next}, *adapter.method, last, &cache);
    Batch whole{{}, {}, {0}, {}, {0, 1}, prompts, {}};
    for (int64_t s = 0; s < 2; ++s) {
      for (int64_t i = 0; i < prompts[s] + step; ++i) {
        whole.tokens.push_back(pair[s].tokens[i]);
        whole.positions.push_back(i);
      }
      whole.offsets.push_back(whole.token_count());
    }
    EXPECT_LT(difference(cached, logits(*adapted, *adapter.method, whole)), rounding() * 2e-5)
        << "step " << step;
  }
}

TEST_P(MethodContract, CountsItsParameters) {
  const Adapter adapter = fresh();
  int64_t declared = 0;
  for (const ParameterSpec& spec : adapter.plan.parameters)
    declared += spec.frozen ? 0 : *element_count(spec.shape);
  EXPECT_EQ(adapter.parameters->count(), declared);
  EXPECT_GT(declared, 0);
}

TEST_P(MethodContract, OptionsAreKnownByNameAndUnknownOnesRefused) {
  const std::unique_ptr<Method> method = GetParam().make();
  EXPECT_THROW(apply(method->fields(), {{"no_such_option", 1}}, "test"), Error);
  EXPECT_NO_THROW(apply(method->fields(), resolved(method->fields()), "test"));
}

INSTANTIATE_TEST_SUITE_P(AllMethodsOnAllFamilies, MethodContract, testing::ValuesIn(test::default_cases()),
                         test::name_of_case);
INSTANTIATE_TEST_SUITE_P(AllMethodsOnAllFamilies, DefaultsContract, testing::ValuesIn(test::default_cases()),
                         test::name_of_case);
INSTANTIATE_TEST_SUITE_P(ExamplesOfOptions, MethodContract, testing::ValuesIn(test::example_cases()),
                         test::name_of_case);

}  // namespace
}  // namespace lowrank
