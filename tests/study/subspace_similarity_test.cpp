// Similarity of subspaces: cases in closed form, and numpy's figures for real files
// (tests/fixtures/make_analysis.py).
#include <gtest/gtest.h>

#include "peft/core/low_rank_init.h"
#include "study/analysis/similarity_study.h"
#include "support/expect_error.h"
#include "support/known_updates.h"

namespace lowrank {
namespace {

TEST(ModulePlaces, KindAndLayerFollowFromTheName) {
  EXPECT_EQ(place_of("model.layers.12.self_attn.q_proj").kind, "self_attn.q_proj");
  EXPECT_EQ(place_of("model.layers.12.self_attn.q_proj").layer, 12);
  EXPECT_EQ(place_of("model.layers.3.mlp.experts.7.up_proj").kind, "mlp.experts.*.up_proj");
  EXPECT_EQ(place_of("bert.encoder.layer.0.attention.output.dense").kind, "attention.output.dense");
  EXPECT_EQ(place_of("lm_head").kind, "lm_head");
  EXPECT_FALSE(place_of("lm_head").layer);
  EXPECT_EQ(place_of("7").kind, "7");
  const std::vector<std::string> names = {"q_proj", "layers.1.mlp.up_proj"};
  EXPECT_TRUE(is_selected("model.layers.0.self_attn.q_proj", names));
  EXPECT_TRUE(is_selected("model.layers.1.mlp.up_proj", names));
  EXPECT_FALSE(is_selected("model.layers.11.mlp.up_proj", {{"layers.1.mlp.up_proj"}}));
  EXPECT_FALSE(is_selected("model.layers.0.self_attn.seq_proj", {{"q_proj"}}));
  EXPECT_EQ(words_for_modules({"m.0.k", "m.1.k", "head"}), "2 x k, head");
  EXPECT_EQ(spread_members({0, 1, 2, 3, 4, 5, 6}, 3), (std::vector<size_t>{0, 3, 6}));
}

TEST(SubspaceSimilarity, AnAdapterAndItselfShareEverything) {
  const FactoredAdapter adapter = test::combined_adapter("first");
  const SimilarityStudy study = study_similarity(adapter, adapter, {});
  ASSERT_FALSE(study.modules.empty());
  for (const ModuleSimilarity& module : study.modules) {
    for (const SimilarityGrid* grid : {&module.grids.inputs, &module.grids.outputs}) {
      ASSERT_EQ(grid->rows, 4);
      ASSERT_EQ(grid->columns, 4);
      // The smaller of two spaces of the same directions lies in the larger.
      for (const double value : grid->values) EXPECT_NEAR(value, 1, 1e-9);
    }
  }
}

TEST(SubspaceSimilarity, CountsTheDirectionsThatAreShared) {
  // Inputs 0, 1, 2 and 2, 3, 4: only the weakest of the first is the strongest of the second.
  const FactoredAdapter one = test::adapter_of("one", {test::axis_update("m.0.q", {3, 2, 1}, 8)});
  const FactoredAdapter other = test::adapter_of("other", {test::axis_update("m.0.q", {3, 2, 1}, 8, 2)});
  const SimilarityStudy study = study_similarity(one, other, {});
  const SimilarityGrid& inputs = study.modules.at(0).grids.inputs;
  EXPECT_NEAR(inputs.at(1, 1), 0, 1e-12);
  EXPECT_NEAR(inputs.at(2, 3), 0, 1e-12);
  EXPECT_NEAR(inputs.at(3, 1), 1, 1e-12);
  EXPECT_NEAR(inputs.at(3, 2), 0.5, 1e-12);
  EXPECT_NEAR(inputs.at(3, 3), 1.0 / 3, 1e-12);
  for (const double value : study.modules.at(0).grids.outputs.values) EXPECT_NEAR(value, 1, 1e-12);
  EXPECT_EQ(study_similarity(one, other, {.directions = 2}).modules.at(0).grids.inputs.rows, 2);
}

TEST(SubspaceSimilarity, RandomSpacesOverlapByTheirShareOfDimensions) {
  at::Generator generator = seeded_generator(3);
  constexpr int64_t size = 400, rows = 10, columns = 40;
  const at::Tensor one = random_basis(size, rows, generator);
  const SimilarityGrid grid = similarity_of(one, random_basis(size, columns, generator));
  // The mean is max(i, j) / d; here over 400 squared cosines.
  EXPECT_NEAR(grid.at(rows, columns), 0.1, 0.03);
  EXPECT_LT(grid.at(1, 1), 0.05);
}

TEST(SubspaceSimilarity, AsNumpyComputesIt) {
  const SimilarityStudy study =
      study_similarity(test::combined_adapter("patterns"), test::combined_adapter("first"), {});
  const nlohmann::json expected = test::numpy_figures()["similarity"];
  ASSERT_EQ(study.modules.size(), expected.size());
  for (const ModuleSimilarity& module : study.modules) {
    const nlohmann::json& wanted = expected.at(module.module);
    for (const auto& [name, grid] :
         {std::pair("inputs", &module.grids.inputs), {"outputs", &module.grids.outputs}}) {
      ASSERT_EQ(static_cast<size_t>(grid->rows), wanted[name].size());
      for (int64_t i = 1; i <= grid->rows; ++i) {
        for (int64_t j = 1; j <= grid->columns; ++j) {
          EXPECT_NEAR(grid->at(i, j), wanted[name][i - 1][j - 1].get<double>(), 1e-9)
              << module.module << " " << name << " " << i << " " << j;
        }
      }
    }
  }
}

TEST(SubspaceSimilarity, MeansAreOverTheModulesOfAKind) {
  const FactoredAdapter one =
      test::adapter_of("one", {test::axis_update("m.0.k", {1}, 8), test::axis_update("m.0.q", {1}, 8),
                               test::axis_update("m.1.q", {1}, 8)});
  const FactoredAdapter other =
      test::adapter_of("other", {test::axis_update("m.0.q", {1}, 8), test::axis_update("m.1.q", {2, 1}, 8, 4),
                                 test::axis_update("m.1.v", {1}, 8)});
  const SimilarityStudy study = study_similarity(one, other, {});
  ASSERT_EQ(study.kinds.size(), 1U);
  EXPECT_EQ(study.kinds[0].members.size(), 2U);
  EXPECT_NEAR(study.kinds[0].mean.inputs.at(1, 1), 0.5, 1e-12);
  // Only one of the two has a second direction.
  EXPECT_NEAR(study.kinds[0].mean.inputs.at(1, 2), 0, 1e-12);
  EXPECT_EQ(study.only_one, std::vector<std::string>{"m.0.k"});
  EXPECT_EQ(study.only_other, std::vector<std::string>{"m.1.v"});
}

TEST(SubspaceSimilarity, RefusesWhatCannotBeCompared) {
  const FactoredAdapter one = test::adapter_of("one", {test::axis_update("m.0.q", {1}, 8)});
  test::expect_error(ErrorKind::invalid, "one", "no module in common: one has m.0.q; other has m.0.v", [&] {
    study_similarity(one, test::adapter_of("other", {test::axis_update("m.0.v", {1}, 8)}), {});
  });
  test::expect_error(ErrorKind::invalid, "one", "m.0.q is [8, 8] in one and [9, 9] in the other", [&] {
    study_similarity(one, test::adapter_of("other", {test::axis_update("m.0.q", {1}, 9)}), {});
  });
  test::expect_error(ErrorKind::invalid, "other", "has an update in both: m.0.q", [&] {
    study_similarity(one, test::adapter_of("other", {test::axis_update("m.0.q", {0}, 8)}), {});
  });
  test::expect_error(ErrorKind::invalid, "one", "`modules`",
                     [&] { study_similarity(one, one, {.modules = {"v"}}); });
}

}  // namespace
}  // namespace lowrank
