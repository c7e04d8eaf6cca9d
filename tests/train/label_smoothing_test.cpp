// What label smoothing does not touch, and where it is refused; its numbers are compared in
// full_run_test.cpp.
#include <gtest/gtest.h>

#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"
#include "train/evaluate.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

TEST(LabelSmoothing, EvaluationsReportThePlainLoss) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), test::tiny_llama_config());
  const auto checkpoint = Checkpoint::open(folder.path());
  const std::vector<Example> rows = test::random_examples({7, 3, 9}, checkpoint->spec().vocabulary_size);
  LoadOptions load = test::in_f32();
  load.training = true;
  const auto model = checkpoint->family().load(checkpoint, load);
  std::vector<double> trained, evaluated;
  for (const double smoothing : {0.0, 0.2}) {
    const MethodInfo& info = method_named("lora");
    Adapter adapter = make_adapter(info, info.make(), *checkpoint);
    adapter.method->initialise(*checkpoint, 1);
    TrainOptions options;
    options.steps = 1;
    options.label_smoothing = smoothing;
    evaluated.push_back(evaluate(*model, InferenceHooks(adapter), rows, 8).loss);
    trained.push_back(ExampleTrainer(*model, adapter, rows, options).step().loss);
  }
  EXPECT_EQ(evaluated[0], evaluated[1]);
  EXPECT_NEAR(trained[0], evaluated[0], 1e-5);
  EXPECT_GT(std::abs(trained[1] - trained[0]), 1e-3);
}

TEST(LabelSmoothing, IsRefusedWhereLabelsAreNoSingleClasses) {
  TrainOptions options;
  options.label_smoothing = 0.1;
  const ModelSpec value = read_spec(test::fixture("tiny_encoders/bert_value"));
  const ModelSpec several = read_spec(test::fixture("tiny_encoders/bert_several"));
  const ModelSpec one = read_spec(test::fixture("tiny_encoders/bert"));
  test::expect_error(ErrorKind::invalid, "label_smoothing", "numbers",
                     [&] { options.check_smoothing(value); });
  test::expect_error(ErrorKind::invalid, "label_smoothing", "several",
                     [&] { options.check_smoothing(several); });
  EXPECT_NO_THROW(options.check_smoothing(one));
  options.contrastive.emplace();
  test::expect_error(ErrorKind::invalid, "label_smoothing", "embeddings",
                     [&] { options.check_smoothing(one); });
  options.label_smoothing = 0;
  EXPECT_NO_THROW(options.check_smoothing(value));
}

TEST(LabelSmoothing, IsBelowOne) {
  TrainOptions options;
  for (const double wrong : {1.0, -0.1})
    EXPECT_THROW(apply(options.fields(), {{"label_smoothing", wrong}}, "options"), Error);
  apply(options.fields(), {{"label_smoothing", 0.1}}, "options");
  EXPECT_EQ(options.label_smoothing, 0.1);
}

}  // namespace
}  // namespace lowrank
