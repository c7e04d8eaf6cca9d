#include "data/training_batch.h"

#include <gtest/gtest.h>

#include "data/order/epoch_order.h"

namespace lowrank {
namespace {

constexpr int64_t none = no_target;

/// Prompt 1 2 with completions 3 4 and 5; prompt 7 with 8; all targets 9 9.
std::vector<Example> rows() {
  return {{{1, 2, 3, 4}, {none, none, 3, 4}, 1},
          {{7, 8}, {none, 8}, 2},
          {{1, 2, 5}, {none, none, 5}, 3},
          {{6, 6}, {6, 6}, 4}};
}

TEST(TrainingBatch, LeavesOutWhatNoTargetNeeds) {
  const std::vector<Example> examples = {{{1, 2, 3, 4, 5}, {none, none, 3, none, none}, 1}};
  const Batch batch = make_training_batch(examples, std::vector<int64_t>{0}, false);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{1}));
  EXPECT_EQ(batch.targets.tokens, (std::vector<int64_t>{3}));
}

TEST(TrainingBatch, WhatExamplesBeginWithAlikeIsLaidDownOnce) {
  const Batch batch = make_training_batch(rows(), std::vector<int64_t>{0, 1, 2, 3}, true);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{1, 2, 3, 7, 6}));
  EXPECT_EQ(batch.positions, (std::vector<int64_t>{0, 1, 2, 0, 0}));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 2, 3, 4, 5}));
  EXPECT_EQ(batch.parents, (std::vector<int64_t>{no_parent, 0, no_parent, no_parent}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{1, 1, 2, 3, 4}));
  EXPECT_EQ(batch.targets.tokens, (std::vector<int64_t>{3, 5, 4, 8, 6}));
}

TEST(TrainingBatch, StretchesThatFewerShareContinueThoseThatMoreShare) {
  const std::vector<Example> examples = {{{1, 2, 3, 4}, {none, none, none, 4}, 1},
                                         {{1, 5, 6}, {none, none, 6}, 2},
                                         {{1, 2, 3, 7, 8}, {none, none, none, 7, 8}, 3},
                                         {{1, 2, 9}, {none, 2, 9}, 4}};
  const Batch batch = make_training_batch(examples, std::vector<int64_t>{0, 1, 2, 3}, true);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{1, 2, 3, 7, 5}));
  EXPECT_EQ(batch.positions, (std::vector<int64_t>{0, 1, 2, 3, 1}));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.parents, (std::vector<int64_t>{no_parent, 0, 1, 2, 0}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{0, 1, 2, 2, 3, 4}));
  EXPECT_EQ(batch.targets.tokens, (std::vector<int64_t>{2, 9, 4, 7, 8, 6}));
}

TEST(TrainingBatch, TargetsAreSharedAsPromptsAre) {
  const Batch batch = make_training_batch(rows(), std::vector<int64_t>{3, 3}, true);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{6}));
  EXPECT_EQ(batch.parents, (std::vector<int64_t>{no_parent}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(batch.targets.tokens, (std::vector<int64_t>{6, 6}));
}

TEST(TrainingBatch, LongExamplesAreLaidDownWholeAndAlone) {
  const Batch batch = make_training_batch(rows(), std::vector<int64_t>{0, 2}, true, 3);
  EXPECT_EQ(batch.tokens, (std::vector<int64_t>{1, 2, 3, 4, 1, 2}));
  EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 4, 6}));
  EXPECT_EQ(batch.parents, (std::vector<int64_t>{no_parent, no_parent}));
  EXPECT_EQ(batch.targets.rows, (std::vector<int64_t>{1, 2, 5}));
  EXPECT_EQ(batch.targets.tokens, (std::vector<int64_t>{3, 4, 5}));
}

TEST(TrainingBatch, GroupsStandTogetherInEveryEpoch) {
  const std::vector<int64_t> groups = prompt_groups(rows());
  EXPECT_EQ(groups, (std::vector<int64_t>{0, 1, 0, 2}));
  EXPECT_EQ(grouped_epoch_order(groups, 1, 0, false), (std::vector<int64_t>{0, 2, 1, 3}));
  std::vector<int64_t> many;
  for (int64_t i = 0; i < 60; ++i) many.push_back(i % 12);
  const std::vector<int64_t> first = grouped_epoch_order(many, 1, 0, true);
  EXPECT_NE(first, grouped_epoch_order(many, 1, 1, true));
  EXPECT_EQ(first, grouped_epoch_order(many, 1, 0, true));
  std::vector<int64_t> seen(60);
  int64_t changes = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    ++seen[first[i]];
    if (i > 0 && many[first[i]] != many[first[i - 1]]) ++changes;
  }
  EXPECT_EQ(seen, std::vector<int64_t>(60, 1));
  EXPECT_EQ(changes, 11);
}

}  // namespace
}  // namespace lowrank
