// Where virtual tokens are inserted, what moves, and which row predicts what.
#include "peft/prompt/virtual_tokens.h"

#include <gtest/gtest.h>

#include "support/prompts.h"

namespace lowrank {
namespace {

using Ids = std::vector<int64_t>;

TEST(VirtualTokens, StandInFrontOfThePromptAndOfTheCompletion) {
  Batch batch = test::batch_of({test::example_of({10, 11, 12, 13}, 2), test::example_of({20, 21}, 0)});
  insert_virtual_tokens(batch, 2, 1);
  EXPECT_EQ(batch.tokens, (Ids{-1, -1, 10, 11, -1, 12, 13, -1, -1, -1, 20, 21}));
  EXPECT_EQ(batch.positions, (Ids{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.offsets, (Ids{0, 7, 12}));
  // The infix predicts the completion's first token, the prefix (and infix) a first token that is a target.
  EXPECT_EQ(batch.targets.rows, (Ids{4, 5, 9, 10}));
  EXPECT_EQ(batch.targets.tokens, (Ids{12, 13, 20, 21}));
  EXPECT_EQ(batch.targets.weights.size(), 4U);
  EXPECT_EQ(batch.examples, (Ids{0, 1}));
}

TEST(VirtualTokens, WithoutPrefixAFirstTokenOfThePromptStaysUnpredicted) {
  Batch batch = test::batch_of({test::example_of({10, 11, 12}, 1)});
  insert_virtual_tokens(batch, 0, 2);
  EXPECT_EQ(batch.tokens, (Ids{10, -1, -1, 11, 12}));
  EXPECT_EQ(batch.targets.rows, (Ids{2, 3}));
  Batch plain = test::batch_of({test::example_of({10, 11}, 0)});
  const Batch before = plain;
  insert_virtual_tokens(plain, 0, 0);
  EXPECT_EQ(plain.targets.rows, before.targets.rows);
}

TEST(VirtualTokens, OnlyMoveThePositionsOfAContinuedSequence) {
  Batch batch{{10, 20, 21, 22}, {5, 0, 1, 2}, {0, 1, 4}, {}, {0, 1}, {}, {}};
  insert_virtual_tokens(batch, 2, 1);
  EXPECT_EQ(batch.tokens, (Ids{10, -1, -1, 20, 21, 22, -1}));
  EXPECT_EQ(batch.positions, (Ids{8, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.offsets, (Ids{0, 1, 7}));
}

TEST(VirtualTokens, RowsOfTheTableAreCountedInEachSequence) {
  Batch batch = test::batch_of({test::example_of({1, 2}, 1), test::example_of({3}, 0)});
  insert_virtual_tokens(batch, 1, 1);  // v 1 v 2 | v v 3
  const at::Tensor table = at::tensor({5.0, 6.0}).unsqueeze(1);
  const at::Tensor zeros = at::tensor({0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}).unsqueeze(1);
  const at::Tensor expected = at::tensor({5.0, 0.0, 6.0, 0.0, 5.0, 6.0, 0.0}).unsqueeze(1);
  EXPECT_TRUE(with_virtual_rows(zeros, batch, table).equal(expected));
  EXPECT_TRUE(spread_virtual_rows(batch, table, {}).equal(expected));
  EXPECT_EQ(spread_virtual_rows(batch, table, at::tensor({9.0}))[1].item<double>(), 9);
}

}  // namespace
}  // namespace lowrank
