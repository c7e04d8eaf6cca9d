// What every method promises, on every family: run over both tables, so that a new entry is tested by being
// there.
#include <cmath>
#include <numeric>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "support/gradient_check.h"
#include "support/tiny_model.h"
#include "text/training_batch.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

struct Case {
  const FamilyInfo* family;
  const MethodInfo* method;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const FamilyInfo* family : families()) {
    for (const MethodInfo* method : methods()) cases.push_back({family, method});
  }
  return cases;
}

class MethodContract : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    test::write_tiny_model(folder.path() / "base", GetParam().family->tiny_config());
    checkpoint = Checkpoint::open(folder.path() / "base");
    examples = test::random_examples({7, 1, 12}, checkpoint->spec().vocabulary_size);
    if (checkpoint->spec().labels) test::label(examples, *checkpoint->spec().labels);
    batch = test::batch_of(examples);
    try {
      plan_adapter(*GetParam().method, made(), checkpoint->spec());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.what();
    }
  }

  /// With its default options, or the small ones that it names instead.
  static std::unique_ptr<Method> made() {
    const MethodInfo& info = *GetParam().method;
    std::unique_ptr<Method> method = info.make();
    for (const OptionExample& example : info.examples) {
      if (example.name == small_example)
        apply(method->fields(), nlohmann::json::parse(example.options), info.name);
    }
    return method;
  }

  Adapter fresh(at::ScalarType type = at::kFloat) const {
    Adapter adapter = make_adapter(*GetParam().method, made(), *checkpoint, type);
    adapter.method->initialise(*checkpoint, 11);
    return adapter;
  }

  /// With values that all matter.
  Adapter stirred(at::ScalarType type = at::kFloat) const {
    Adapter adapter = fresh(type);
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.05 * random.normal();
    return adapter;
  }

  std::unique_ptr<Model> model(const Adapter& adapter, at::ScalarType type = at::kFloat,
                               bool training = true) const {
    LoadOptions options;
    options.compute = type;
    options.training = training;
    options.use = uses_of(adapter.plan);
    return checkpoint->family().load(checkpoint, options);
  }

  /// What the model says of each sequence: its label's scores, or the logits of its last row.
  at::Tensor logits(const Model& model, const Hooks& hooks, Batch of) const {
    const at::NoGradGuard no_grad;
    hooks.layout(of);
    if (model.spec().labels) return sequence_scores(model, {&of}, hooks);
    std::vector<int64_t> rows;
    for (int64_t s = 0; s < of.sequences(); ++s) rows.push_back(of.offsets[s + 1] - 1);
    return batch_logits(model, {&of}, hooks, rows, nullptr);
  }

  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return at::max(at::abs(a - b)).item<double>();
  }

  test::TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<Example> examples;
  Batch batch;
};

TEST_P(MethodContract, EqualsTheBaseAtTheStartAndDiffersOnceStirred) {
  Adapter adapter = fresh();
  const auto adapted = model(adapter);
  adapter.method->begin_step({});
  const at::Tensor base = logits(*adapted, test::FileWeights(checkpoint), batch);
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
      17);
}

/// Loss and gradient of the examples in f64 as a training pass computes them.
std::pair<double, at::Tensor> loss_and_gradient(const Model& model, Adapter& adapter, Batch batch,
                                                bool recompute) {
  adapter.parameters->zero_gradients();
  adapter.method->layout(batch);
  adapter.method->begin_step({1, 1});
  Context context{&batch, true};
  context.recompute = recompute;
  const TargetLoss loss = batch_loss(model, context, *adapter.method);
  loss.loss.backward();
  adapter.method->end_backward();
  return {loss.loss.item<double>(), adapter.parameters->gradients().clone()};
}

TEST_P(MethodContract, LayersComputedAgainGiveTheSameGradient) {
  Adapter adapter = stirred(at::kDouble);
  const auto adapted = model(adapter, at::kDouble);
  const auto [loss, gradient] = loss_and_gradient(*adapted, adapter, batch, false);
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
  const Packed all = adapted->forward(context, *adapter.method, nullptr);
  for (int64_t row = 1; row < laid_out.rows(); row += 3) context.read.push_back(row);
  const Packed alone = adapted->forward(context, *adapter.method, nullptr);
  ASSERT_EQ(alone.stream.size(0), std::ssize(context.read));
  ASSERT_EQ(alone.geometry.rows(), std::ssize(context.read));
  for (const int64_t row : context.read) {
    const int64_t from = all.geometry.batch_rows.empty() ? row : all.geometry.batch_rows[row];
    EXPECT_LT(difference(alone.stream[alone.geometry.batch_rows[row]], all.stream[from]), 1e-12) << row;
  }
}

TEST_P(MethodContract, SharedPromptsGiveTheSameGradient) {
  Adapter adapter = stirred(at::kDouble);
  if (checkpoint->spec().labels) GTEST_SKIP() << "an encoder's rows see what follows them";
  if (adapter.plan.context_rows > 0) GTEST_SKIP() << "virtual tokens stand in front of each prompt";
  std::vector<Example> rows = examples;
  const Example prompt = test::random_examples({5}, 64, 21).front();
  for (Example& row : rows) {
    row.tokens.insert(row.tokens.begin(), prompt.tokens.begin(), prompt.tokens.end());
    row.labels.insert(row.labels.begin(), prompt.tokens.size(), no_target);
  }
  std::vector<int64_t> indices(rows.size());
  std::iota(indices.begin(), indices.end(), 0);
  const auto adapted = model(adapter, at::kDouble);
  const auto [loss, gradient] = loss_and_gradient(*adapted, adapter, make_batch(rows, indices), false);
  const Batch shared = make_training_batch(rows, indices, true);
  const auto [found, slope] = loss_and_gradient(*adapted, adapter, shared, false);
  EXPECT_NEAR(found, loss, 1e-12 * std::abs(loss));
  EXPECT_LT(difference(slope, gradient), 1e-11);
  EXPECT_LT(shared.rows(), make_batch(rows, indices).rows() - 5);
}

TEST_P(MethodContract, LossFallsAndOnlyParametersChange) {
  Adapter adapter = fresh();
  const auto adapted = model(adapter);
  const at::Tensor before = logits(*adapted, test::FileWeights(checkpoint), batch);
  TrainOptions options;
  options.steps = 30;
  options.batch_size = 3;
  options.lr = 2e-2;
  ExampleTrainer trainer(*adapted, adapter, examples, options);
  const double first = trainer.step().loss;
  double last = first;
  while (!trainer.done()) last = trainer.step().loss;
  // A few dozen values cannot learn random rows.
  EXPECT_LT(last, (adapter.parameters->count() < 100 ? 0.99 : 0.9) * first);
  EXPECT_TRUE(at::equal(before, logits(*adapted, test::FileWeights(checkpoint), batch)));
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
    EXPECT_TRUE(at::equal(same->value, tensor.value)) << tensor.name;
  }
  EXPECT_EQ(again.method->config(), adapter.method->config());
}

TEST_P(MethodContract, MergedEqualsUnmergedAndASecondMergeIsRefused) {
  Adapter adapter = stirred();
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
  adapter.method->begin_step({});
  EXPECT_LT(difference(logits(*merged->family().load(merged, {}), Hooks(), batch),
                       logits(*model(adapter), *adapter.method, batch)),
            1e-4);
  EXPECT_THROW(merge_to_folder(*checkpoint, adapter, std::nullopt, folder.path() / "merged"), Error);
  for (const TensorRef& tensor : checkpoint->spec().tensors) {
    if (adapter.method->merges(tensor) || !checkpoint->find(tensor)) continue;
    EXPECT_TRUE(std::ranges::equal(checkpoint->find(tensor)->bytes, merged->find(tensor)->bytes))
        << tensor.name;
  }
}

TEST_P(MethodContract, PackedBatchEqualsSequencesAlone) {
  Adapter adapter = stirred();
  const auto adapted = model(adapter);
  adapter.method->begin_step({});
  const at::Tensor together = logits(*adapted, *adapter.method, batch);
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const at::Tensor alone = logits(*adapted, *adapter.method, test::batch_of({examples[s]}));
    EXPECT_LT(difference(alone[0], together[s]), 2e-5) << "sequence " << s;
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
  // A prompt of 4 and a prompt of 9 tokens, then what follows, a token at a time.
  const std::vector<Example> pair{examples[0], examples[2]};
  const std::vector<int64_t> prompts{4, 9};
  for (int64_t step = 0; step < 4; ++step) {
    Batch next{{}, {}, {0}, {}, {}, prompts, {}};
    for (int64_t s = 0; s < 2; ++s) {
      for (int64_t i = step == 0 ? 0 : prompts[s] + step - 1; i < prompts[s] + step; ++i) {
        next.tokens.push_back(pair[s].tokens[i]);
        next.positions.push_back(i);
      }
      next.offsets.push_back(next.rows());
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
      whole.offsets.push_back(whole.rows());
    }
    EXPECT_LT(difference(cached, logits(*adapted, *adapter.method, whole)), 2e-5) << "step " << step;
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
  const std::unique_ptr<Method> method = GetParam().method->make();
  EXPECT_THROW(apply(method->fields(), {{"no_such_option", 1}}, "test"), Error);
  EXPECT_NO_THROW(apply(method->fields(), resolved(method->fields()), "test"));
}

INSTANTIATE_TEST_SUITE_P(AllMethodsOnAllFamilies, MethodContract, testing::ValuesIn(all_cases()),
                         [](const auto& info) {
                           return std::string(info.param.family->name) + "_" +
                                  std::string(info.param.method->name);
                         });

}  // namespace
}  // namespace lowrank
