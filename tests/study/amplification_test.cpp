// Amplification of planted directions, and numpy's figures for real files (tests/fixtures/make_analysis.py).
#include "study/analysis/amplification.h"

#include <cmath>

#include <gtest/gtest.h>

#include "peft/core/low_rank_init.h"
#include "support/expect_error.h"
#include "support/known_updates.h"

namespace lowrank {
namespace {

TEST(Amplification, OfAPlantedDirectionIsItsFactor) {
  // W = diag(5, 4, 3, 2, 1, 0.5); the update strengthens the direction of 2 to 5 times as much.
  at::Tensor weight = at::zeros({6, 6});
  const double strengths[] = {5, 4, 3, 2, 1, 0.5};
  for (int64_t i = 0; i < 6; ++i) weight[i][i] = strengths[i];
  FactoredUpdate update{"m.0.q", false, 2, at::zeros({1, 6}), at::zeros({6, 1})};
  update.a[0][3] = 1;
  update.b[3][0] = 5;
  at::Generator generator = seeded_generator(1);
  const auto found = amplification_of(update, weight, 0, generator);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->update_norm, 10, 1e-9);
  EXPECT_NEAR(found->along_update, 2, 1e-9);
  EXPECT_NEAR(found->along_weight, 5, 1e-9);
  EXPECT_NEAR(found->weight_norm, std::sqrt(25 + 16 + 9 + 4 + 1 + 0.25), 1e-9);
  EXPECT_NEAR(found->factor.value(), 5, 1e-9);
  EXPECT_LE(found->along_random, 5);
  // Where the weight has nothing there is no factor.
  update.a[0][3] = 0;
  update.a[0][4] = 1;
  EXPECT_FALSE(amplification_of(update, weight, 0, generator)->factor);
  update.a[0][4] = 0;
  EXPECT_FALSE(amplification_of(update, weight, 0, generator));
}

TEST(Amplification, AsNumpyComputesIt) {
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  for (const int64_t directions : {0, 1}) {
    const AmplificationStudy study =
        study_amplification(test::combined_adapter("patterns"), *base, {.directions = directions});
    const nlohmann::json expected = test::numpy_figures()["amplification"][std::to_string(directions)];
    ASSERT_EQ(study.modules.size(), expected.size());
    for (const ModuleAmplification& module : study.modules) {
      const nlohmann::json& wanted = expected.at(module.module);
      const auto near = [&](double value, const char* name) {
        const double right = wanted[name].get<double>();
        EXPECT_NEAR(value, right, 1e-6 * right) << module.module << " " << name;
      };
      near(module.found.directions, "directions");
      near(module.found.weight_norm, "weight_norm");
      near(module.found.update_norm, "update_norm");
      near(module.found.kept_norm, "update_norm_in_directions");
      near(module.found.along_update, "weight_along_update");
      near(module.found.along_weight, "weight_along_weight");
      near(module.found.factor.value(), "amplification");
    }
  }
}

TEST(Amplification, OfAKindIsTheMedianAndMeansOfNorms) {
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const AmplificationStudy study = study_amplification(test::combined_adapter("first"), *base, {});
  ASSERT_EQ(study.kinds.size(), 2U);
  for (const KindAmplification& kind : study.kinds) {
    ASSERT_EQ(kind.members.size(), 2U);
    const Amplification& one = study.modules[kind.members[0]].found;
    const Amplification& other = study.modules[kind.members[1]].found;
    EXPECT_NEAR(kind.summary.weight_norm, (one.weight_norm + other.weight_norm) / 2, 1e-9);
    EXPECT_NEAR(kind.summary.factor.value(), (one.factor.value() + other.factor.value()) / 2, 1e-9);
  }
}

TEST(Amplification, ListsModulesThatTheBaseLacks) {
  const auto base = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const std::string q = "model.layers.0.self_attn.q_proj";
  test::expect_error(
      ErrorKind::invalid, "other", q + " is [8, 8] in the adapter and [32, 32] in the model", [&] {
        study_amplification(
            test::adapter_of("other", {test::axis_update(q, {1}, 8), test::axis_update("m.9.x", {1}, 8)}),
            *base, {});
      });
  test::expect_error(ErrorKind::invalid, "other", "the model has no m.9.x", [&] {
    study_amplification(test::adapter_of("other", {test::axis_update("m.9.x", {1}, 8)}), *base, {});
  });
  test::expect_error(ErrorKind::invalid, "other", "every update of other is zero", [&] {
    study_amplification(test::adapter_of("other", {test::axis_update(q, {0}, 32)}), *base, {});
  });
}

}  // namespace
}  // namespace lowrank
