// Embeddings are trained as sentence-transformers trains them: losses, gradients and steps on tiny models of
// three kinds (tests/fixtures/make_embeddings.py), and cached gradients are those of whole batches.
#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/compared_trial.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "tokenizer/tokenizer.h"
#include "train/contrastive/contrastive_step.h"
#include "train/contrastive/text_batch.h"
#include "train/evaluate.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

using test::Trial;

/// The gradient of the whole set's loss, and the loss.
double gradient_of(const Trial& trial, Adapter& adapter, int64_t mini_batch_size, double dropout_seed = 0) {
  const auto model = trial.model(adapter.parameters->values().scalar_type());
  ContrastiveRun run = trial.run;
  run.mini_batch_size = mini_batch_size;
  std::vector<int64_t> numbers(trial.rows.examples.size());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
  const Batch batch = make_text_batch(trial.rows.examples.at(numbers), numbers);
  adapter.parameters->zero_gradients();
  adapter.method->begin_step({1, 1});
  const double loss = contrastive_backward(
      std::span(&batch, 1), {*model, *adapter.method, static_cast<uint64_t>(dropout_seed)}, run);
  adapter.method->end_backward();
  return loss;
}

/// The name without the prefix that models without a head lack.
std::string headless(const std::string& name, const ModelSpec& spec) {
  const std::string start = "base_model.model.", whole = start + spec.optional_prefix;
  return name.starts_with(whole) ? start + name.substr(whole.size()) : name;
}

using Kind = std::tuple<const char*, const char*>;
class ComparedTexts : public testing::TestWithParam<Kind> {
 protected:
  Trial trial() const { return {std::get<0>(GetParam()), std::get<1>(GetParam())}; }
};

TEST_P(ComparedTexts, LossAndGradientsAreSentenceTransformers) {
  const Trial given = trial();
  Adapter adapter = test::on_test_device(load_adapter(given.folder / "adapter", *given.checkpoint));
  const double loss = gradient_of(given, adapter, 64);
  const auto expected = given.expected["loss"].get<double>();
  EXPECT_NEAR(loss, expected, 1e-5 * std::max(1.0, std::abs(expected)));
  double largest = 0, difference = 0;
  int64_t compared = 0;
  for (size_t i = 0; i < adapter.parameters->specs().size(); ++i) {
    const std::string name = headless(adapter.parameters->specs()[i].name, given.checkpoint->spec());
    ASSERT_TRUE(given.expected["gradients"].contains(name)) << name;
    const auto values = given.expected["gradients"][name].get<std::vector<double>>();
    const at::Tensor own =
        adapter.parameters->gradients().narrow(0, adapter.parameters->begin(i), std::ssize(values));
    for (size_t k = 0; k < values.size(); ++k) {
      largest = std::max(largest, std::abs(values[k]));
      difference = std::max(difference, std::abs(own[static_cast<int64_t>(k)].item<double>() - values[k]));
      ++compared;
    }
  }
  EXPECT_EQ(compared, adapter.parameters->count());
  EXPECT_LT(difference, 1e-3 * largest);
  EXPECT_GT(largest, 1e-4);
}

TEST_P(ComparedTexts, CachedGradientsAreThoseOfTheWholeBatch) {
  const Trial given = trial();
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    Adapter adapter = test::on_test_device(load_adapter(given.folder / "adapter", *given.checkpoint, type));
    const double whole = gradient_of(given, adapter, 64);
    const at::Tensor expected = adapter.parameters->gradients().clone();
    for (const int64_t texts : {1, 3}) {
      const double exact = type == at::kDouble ? 1e-12 : 1e-5;
      EXPECT_NEAR(gradient_of(given, adapter, texts), whole, exact * std::max(1.0, std::abs(whole)));
      const double difference = (adapter.parameters->gradients() - expected).abs().max().item<double>();
      EXPECT_LT(difference, exact * 10 * expected.abs().max().item<double>()) << texts;
    }
  }
}

TEST_P(ComparedTexts, StepsHaveTheLossesOfTorchsSteps) {
  const Trial given = trial();
  for (const int64_t texts : {64, 3}) {
    Adapter adapter = test::on_test_device(load_adapter(given.folder / "adapter", *given.checkpoint));
    const auto model = given.model();
    ExampleTrainer trainer(*model, adapter, given.rows.examples, given.options(texts));
    for (const nlohmann::json& expected : given.expected["steps"])
      EXPECT_NEAR(trainer.step().loss, expected.get<double>(), 2e-4) << trainer.trainer().steps_done();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Trials, ComparedTexts,
    testing::Combine(testing::Values("qwen3", "gemma3", "bert"),
                     testing::Values("pairs", "triplets", "cosine", "cosent", "matryoshka")),
    [](const auto& info) { return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param); });

TEST(CachedGradients, HaveTheDropoutOfTheFirstPass) {
  const Trial given("bert", "pairs");
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> method = info.make();
  apply(method->fields(), {{"dropout", 0.5}, {"rank", 2}}, "test");
  Adapter adapter = make_adapter(info, std::move(method), *given.checkpoint, at::kDouble);
  adapter.method->initialise(*given.checkpoint, 3);
  {
    const at::NoGradGuard no_grad;
    Philox random(4);
    at::Tensor& values = adapter.parameters->values();
    for (int64_t i = 0; i < values.numel(); ++i) values[i] += 0.1 * random.normal();
  }
  gradient_of(given, adapter, 3, 5);
  const at::Tensor gradient = adapter.parameters->gradients().clone();
  auto* values = adapter.parameters->values().mutable_data_ptr<double>();
  for (int64_t i = 0; i < adapter.parameters->count(); i += 97) {
    constexpr double step = 1e-5;
    const double value = values[i];
    values[i] = value + step;
    const double above = gradient_of(given, adapter, 3, 5);
    values[i] = value - step;
    const double below = gradient_of(given, adapter, 3, 5);
    values[i] = value;
    EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * step), 1e-5) << i;
  }
  EXPECT_GT(gradient.abs().max().item<double>(), 1e-3);
}

TEST(EmbeddingEvaluation, CountsAnchorsWhoseNearestTextIsTheirOwn) {
  const Trial given("bert", "pairs");
  const auto model = given.model();
  const Evaluation whole = evaluate(*model, InferenceHooks(), given.rows.examples, 5, given.run);
  const nlohmann::ordered_json figures = whole.figures();
  EXPECT_TRUE(figures.contains("cosine_accuracy@1"));
  // Two of the five positives are the same text, so that either anchor may find it.
  std::vector<Example> own;
  for (Example row : given.rows.examples) {
    for (std::vector<int64_t>* values : {&row.tokens, &row.labels}) {
      const std::vector<int64_t> anchor(values->begin(), values->begin() + text_ends(row).front());
      values->resize(anchor.size());
      values->insert(values->end(), anchor.begin(), anchor.end());
    }
    own.push_back(row);
  }
  EXPECT_EQ(evaluate(*model, InferenceHooks(), own, 5, given.run).embeddings->accuracy, 1.0);
  EXPECT_EQ(whole.rows.size(), 5U);
  // In batches of one there is nothing to tell apart.
  EXPECT_NEAR(evaluate(*model, InferenceHooks(), given.rows.examples, 1, given.run).loss, 0, 1e-6);
}

TEST(EmbeddingEvaluation, CorrelatesRanksOfCosinesAndScores) {
  const Trial given("gemma3", "cosine");
  const auto model = given.model();
  const Evaluation found = evaluate(*model, InferenceHooks(), given.rows.examples, 3, given.run);
  ASSERT_TRUE(found.embeddings->correlation.has_value());
  EXPECT_GE(*found.embeddings->correlation, -1);
  EXPECT_LE(*found.embeddings->correlation, 1);
  EXPECT_TRUE(found.figures().contains("spearman_cosine"));
}

TEST(ContrastiveRun, RefusesWhatDoesNotFit) {
  const auto refused = [](const ContrastiveOptions& options, bool scored, const std::string& part) {
    test::expect_error(ErrorKind::invalid, "", part, [&] { contrastive_run(options, {}, scored, 32); });
  };
  ContrastiveOptions options;
  options.embedding_loss = "multiple_negatives_ranking";
  refused(options, true, "is for rows of \"anchor\" and \"positive\"");
  options.embedding_loss = "cosent";
  refused(options, false, "is for rows of \"sentence1\", \"sentence2\" and \"score\"");
  options = {};
  options.matryoshka_dims = {16, 64};
  refused(options, false, "`matryoshka_dims` has 64, but the model's vectors have 32 values");
  options.matryoshka_dims = {16, 8};
  options.matryoshka_weights = {1};
  refused(options, false, "`matryoshka_weights` has 1 values for the 2 of `matryoshka_dims`");
}

}  // namespace
}  // namespace lowrank
