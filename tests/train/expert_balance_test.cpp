// How evenly a mixture's tokens are spread over its experts, which evaluations tell.
#include <numeric>

#include <gtest/gtest.h>

#include "data/training_batch.h"
#include "model/checkpoint.h"
#include "model/experts.h"
#include "model/registry.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "train/evaluate.h"

namespace lowrank {
namespace {

std::unique_ptr<Model> fixture_model(const std::string& name) {
  const auto checkpoint = Checkpoint::open(test::fixture("families/" + name));
  return checkpoint->family().load(checkpoint, test::in_f32());
}

Example learned_text(std::vector<int64_t> tokens) {
  Example example;
  example.labels = tokens;
  example.tokens = std::move(tokens);
  return example;
}

TEST(ExpertBalance, IsTheBusiestShareAndTheUnusedExperts) {
  EXPECT_FALSE(balance_of({}));
  const std::optional<ExpertBalance> balance = balance_of({{{1, {4, 0, 2, 2}}, {3, {9, 1, 0, 0}}}});
  ASSERT_TRUE(balance);
  EXPECT_DOUBLE_EQ(balance->busiest, 3.6);
  EXPECT_EQ(balance->layer, 3);
  EXPECT_EQ(balance->unused, 3);
  EXPECT_EQ(balance->experts, 8);
}

TEST(ExpertBalance, AnEvaluationTellsIt) {
  const std::vector<Example> examples{learned_text({5, 9, 2, 7, 7, 3, 11, 4}), learned_text({8, 6, 1, 10})};
  const Evaluation sparse = evaluate(*fixture_model("mixtral"), InferenceHooks(), ExampleStore(examples), 2);
  ASSERT_TRUE(sparse.experts);
  EXPECT_GE(sparse.experts->busiest, 1);
  EXPECT_TRUE(sparse.figures().contains("busiest_expert"));
  EXPECT_NE(sparse.summary().find("unused_experts"), std::string::npos);
  const Evaluation dense = evaluate(*fixture_model("olmo2"), InferenceHooks(), ExampleStore(examples), 2);
  EXPECT_FALSE(dense.experts);
  EXPECT_FALSE(dense.figures().contains("busiest_expert"));
}

TEST(ExpertBalance, EachTokenCountsOncePerExpertThatItUses) {
  const std::unique_ptr<Model> model = fixture_model("mixtral");
  const Example example = learned_text({5, 9, 2, 7, 7, 3, 11, 4});
  Batch batch = make_batch(std::vector<Example>{example}, std::vector<int64_t>{0});
  ExpertLoads loads;
  Context context{&batch};
  context.loads = &loads;
  batch_loss(*model, context, *InferenceHooks());
  ASSERT_EQ(loads.tokens.size(), static_cast<size_t>(model->spec().layers));
  // The last token of a text predicts nothing: whether it is computed is up to the layer.
  for (const auto& [layer, tokens] : loads.tokens) {
    const int64_t pairs = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
    EXPECT_TRUE(pairs == 2 * 7 || pairs == 2 * 8) << "layer " << layer << ": " << pairs;
  }
}

}  // namespace
}  // namespace lowrank
