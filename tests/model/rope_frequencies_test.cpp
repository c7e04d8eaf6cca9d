// Frequencies that depend on a text's length, and what is refused.
#include "model/rope_frequencies.h"

#include <cmath>

#include <gtest/gtest.h>

#include "data/training_batch.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

nlohmann::json with_scaling(nlohmann::json scaling) {
  return {{"rope_theta", 1000.0}, {"max_position_embeddings", 64}, {"rope_scaling", std::move(scaling)}};
}

TEST(RopeFrequencies, DynamicStretchesTheBaseBeyondTheContext) {
  const RopeFrequencies f = rope_frequencies(with_scaling({{"rope_type", "dynamic"}, {"factor", 2.0}}), 8);
  EXPECT_EQ(f.of_length(64), f.inverse);
  EXPECT_EQ(f.fixed_positions, 64);
  const std::vector<float> longer = f.of_length(96);
  // theta' = 1000 (2 * 96 / 64 - 1)^(8/6)
  for (int k = 0; k < 4; ++k)
    EXPECT_NEAR(longer[k], std::pow(1000 * std::pow(2.0, 8.0 / 6), -k / 4.0), 1e-7) << k;
}

TEST(RopeFrequencies, LongropeTakesEachTextsOwnFactors) {
  const nlohmann::json config = with_scaling({{"type", "longrope"},
                                              {"original_max_position_embeddings", 16},
                                              {"short_factor", {1, 1, 2, 2}},
                                              {"long_factor", {1, 2, 4, 8}}});
  const RopeFrequencies f = rope_frequencies(config, 8);
  EXPECT_NEAR(f.attention_factor, std::sqrt(1 + std::log(4.0) / std::log(16.0)), 1e-6);
  EXPECT_NEAR(f.of_length(16)[3], std::pow(1000.0, -0.75) / 2, 1e-8);
  EXPECT_NEAR(f.of_length(17)[3], std::pow(1000.0, -0.75) / 8, 1e-8);
}

TEST(RopeFrequencies, YarnMovesFromPlainToDividedFrequencies) {
  const nlohmann::json config = with_scaling(
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}, {"beta_fast", 2.0}});
  const RopeFrequencies f = rope_frequencies(config, 8);
  // Two turns within 16 positions at k = 0.14, one at 0.54: floor and ceiling are 0 and 1.
  EXPECT_NEAR(f.inverse[0], 1, 1e-7);
  EXPECT_NEAR(f.inverse[1], std::pow(1000.0, -0.25) / 4, 1e-7);
  EXPECT_NEAR(f.attention_factor, 0.1 * std::log(4.0) + 1, 1e-6);
}

TEST(RopeFrequencies, WhatCannotBeIsNamed) {
  const auto refuse = [](nlohmann::json scaling, ErrorKind kind, std::string_view part) {
    test::expect_error(kind, "", part, [&] { rope_frequencies(with_scaling(std::move(scaling)), 8); });
  };
  refuse({{"rope_type", "ntk"}}, ErrorKind::unsupported, "'ntk' is not known");
  refuse({{"rope_type", "dynamic"}}, ErrorKind::invalid, "factor");
  refuse({{"rope_type", "dynamic"}, {"factor", 0.5}}, ErrorKind::invalid, "factor of 1 or more");
  refuse({{"rope_type", "longrope"}, {"short_factor", {1, 1, 1, 1}}}, ErrorKind::invalid, "long_factor");
  refuse({{"rope_type", "longrope"}, {"short_factor", {1, 1, 1, 1}}, {"long_factor", {1, 1, 1, 0}}},
         ErrorKind::invalid, "long_factor");
  refuse({{"rope_type", "yarn"}, {"beta_slow", -1}}, ErrorKind::invalid, "beta_slow");
  refuse({{"rope_type", "yarn"}, {"original_max_position_embeddings", 1}}, ErrorKind::invalid,
         "original_max_position_embeddings");
}

TEST(RopeFrequencies, LongTextsAreLaidDownWholeAndShareNoPrompt) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_config("llama");
  config["max_position_embeddings"] = 16;
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2.0}};
  test::write_tiny_model(folder.path(), config);
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint->spec().fixed_positions, 16);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  std::vector<Example> rows = test::random_examples({16, 20, 12}, 64);
  for (Example& row : rows) {
    std::copy_n(rows[0].tokens.begin(), 8, row.tokens.begin());
    std::fill_n(row.labels.begin(), 8, no_target);
  }
  const std::vector<int64_t> all{0, 1, 2};
  const auto loss = [&](const Batch& batch) {
    return batch_loss(*model, {&batch}, Hooks()).loss.item<double>();
  };
  const Batch shared = make_training_batch(rows, all, true, 16);
  EXPECT_EQ(shared.token_count(), 20 + 8 + 7 + 3);
  EXPECT_NEAR(loss(shared), loss(make_batch(rows, all)), 1e-4);
  const Batch wrong = make_training_batch(rows, all, true);
  test::expect_error(ErrorKind::invalid, "", "cannot share a prompt", [&] { loss(wrong); });
}

}  // namespace
}  // namespace lowrank
