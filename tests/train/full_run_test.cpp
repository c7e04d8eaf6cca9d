// Full fine-tuning, with and without label smoothing: the losses of five AdamW steps are those of
// transformers (tests/fixtures/make_full.py).
#include <algorithm>

#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"
#include "train/example_trainer.h"

namespace lowrank {
namespace {

class Full : public testing::TestWithParam<const char*> {};

TEST_P(Full, FiveStepsAreThoseOfTransformers) {
  const nlohmann::json expected =
      read_json_file(test::fixture("full") / (GetParam() + std::string(".json")), 1 << 20);
  const auto checkpoint = Checkpoint::open(test::fixture(expected["base"].get<std::string>()));
  const MethodInfo& info = method_named("full");
  Adapter adapter = make_adapter(info, info.make(), *checkpoint);
  adapter.method->initialise(*checkpoint, 0);
  EXPECT_EQ(adapter.parameters->count(), expected["count"].get<int64_t>());
  LoadOptions load = test::in_f32();
  load.training = true;
  load.use = uses_of(adapter.plan);
  const auto model = checkpoint->family().load(checkpoint, load);
  Example row{expected["input_ids"], expected["input_ids"], 1};
  std::fill_n(row.labels.begin(), expected.value("prompt", 0), no_target);
  if (expected.contains("label")) row.label = expected["label"].get<double>();
  const std::vector<Example> rows = {row};
  TrainOptions options;
  options.steps = 5;
  options.lr = 1e-3;
  options.schedule = "constant";
  options.label_smoothing = expected.value("label_smoothing", 0.0);
  ExampleTrainer trainer(*model, adapter, rows, options);
  for (const double loss : expected["losses"]) EXPECT_NEAR(trainer.step().loss, loss, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Bases, Full,
                         testing::Values("llama", "gpt2", "gemma3", "gpt2_smoothed", "gemma3_smoothed",
                                         "bert_smoothed"));

}  // namespace
}  // namespace lowrank
