// What every method promises, on every family: run over both tables, so that a new entry is tested by being
// there.
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
#include "train/trainer.h"

namespace lowrank {
namespace {

/// A small configuration of each family. A family without one fails here.
nlohmann::json tiny_config(std::string_view family) {
  if (family == "llama") return test::tiny_llama_config();
  if (family == "gemma3") return test::tiny_gemma3_config();
  if (family == "gpt2") return test::tiny_gpt2_config();
  ADD_FAILURE() << "no tiny configuration for the family " << family;
  return {};
}

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
    test::write_tiny_model(folder.path() / "base", tiny_config(GetParam().family->name));
    checkpoint = Checkpoint::open(folder.path() / "base");
    try {
      plan_adapter(*GetParam().method, GetParam().method->make(), checkpoint->spec());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      GTEST_SKIP() << error.what();
    }
    examples = test::random_examples({7, 1, 12}, checkpoint->spec().vocabulary_size);
    batch = test::batch_of(examples);
  }

  Adapter fresh(at::ScalarType type = at::kFloat) const {
    Adapter adapter = make_adapter(*GetParam().method, GetParam().method->make(), *checkpoint, type);
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

  /// The base alone: on the adapted model where that keeps every tensor, so that changes to it show.
  at::Tensor base_logits(const Adapter& adapter, const Model& adapted) const {
    if (adapter.plan.uses.empty()) return logits(adapted, Hooks(), batch);
    return logits(*checkpoint->family().load(checkpoint, {}), Hooks(), batch);
  }

  at::Tensor logits(const Model& model, const Hooks& hooks, Batch of) const {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> rows;
    for (int64_t s = 0; s < of.sequences(); ++s) rows.push_back(of.offsets[s + 1] - 1);
    hooks.layout(of);
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
  const at::Tensor base = base_logits(adapter, *adapted);
  EXPECT_LT(difference(logits(*adapted, *adapter.method, batch), base), 1e-5);
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

TEST_P(MethodContract, LossFallsAndOnlyParametersChange) {
  Adapter adapter = fresh();
  const auto adapted = model(adapter);
  const at::Tensor before = base_logits(adapter, *adapted);
  TrainOptions options;
  options.steps = 30;
  options.batch_size = 3;
  options.lr = 2e-2;
  Trainer trainer(*adapted, adapter, examples, options);
  const double first = trainer.step().loss;
  double last = first;
  while (!trainer.done()) last = trainer.step().loss;
  // A few dozen values cannot learn random rows.
  EXPECT_LT(last, (adapter.parameters->count() < 100 ? 0.99 : 0.9) * first);
  EXPECT_TRUE(at::equal(before, base_logits(adapter, *adapted)));
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
  if (!mergeable) GTEST_SKIP() << "cannot be merged by its nature";
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
