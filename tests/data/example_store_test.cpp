#include "data/examples/example_store.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/batch_parts.h"
#include "data/dataset.h"
#include "data/training_batch.h"

namespace lowrank {
namespace {

using Numbers = std::vector<int64_t>;
constexpr int64_t untaught = no_target;

/// Examples with every kind of labels.
std::vector<Example> various_examples() {
  std::vector<Example> examples(8);
  examples[0] = {{1, 2, 3, 4, 5}, {untaught, 2, 3, untaught, 5}, 1};
  examples[1] = {{7, 8}, {untaught, untaught}, 2};
  examples[2] = {{7, 8, 9}, {8, untaught, 9}, 3};  // a label that is not its token
  examples[3] = {{4, 5, 6}, {}, 4, 2.5};
  examples[4] = {{}, {}, 5, -1.0};
  examples[5] = {{2147483647}, {2147483647}, int64_t{1} << 40, {}, 12, 3};
  examples[6] = {{3, 3}, {}, 7};
  examples[7] = {{}, {}, 8};
  return examples;
}

void expect_equal_examples(const Example& found, const Example& expected) {
  EXPECT_EQ(found.tokens, expected.tokens);
  EXPECT_EQ(found.labels, expected.labels);
  EXPECT_EQ(found.line, expected.line);
  EXPECT_EQ(found.label, expected.label);
  EXPECT_EQ(found.length, expected.length);
  EXPECT_EQ(found.adapter, expected.adapter);
}

TEST(ExampleStore, GivesBackWhatWasPutIn) {
  const std::vector<Example> examples = various_examples();
  const ExampleStore store = examples;
  ASSERT_EQ(store.size(), examples.size());
  int64_t tokens = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    expect_equal_examples(store[static_cast<int64_t>(i)], examples[i]);
    EXPECT_EQ(store.line(static_cast<int64_t>(i)), examples[i].line);
    tokens += std::ssize(examples[i].tokens);
  }
  EXPECT_EQ(store.token_count(), tokens);
  size_t next = 0;
  for (const Example& example : store) expect_equal_examples(example, examples[next++]);
  EXPECT_EQ(next, examples.size());
}

TEST(ExampleStore, PromptsEndAtTheFirstTarget) {
  const ExampleStore store = various_examples();
  Numbers lengths;
  for (int64_t i = 0; i < std::ssize(store); ++i) lengths.push_back(store.prompt_length(i));
  EXPECT_EQ(lengths, (Numbers{1, 2, 0, 0, 0, 0, 0, 0}));
}

TEST(ExampleStore, SelectionsOfSelections) {
  const ExampleStore part = ExampleStore(various_examples()).selected({5, 2, 0}).selected({2, 1});
  ASSERT_EQ(part.size(), 2U);
  EXPECT_EQ(part[0].line, 1);
  EXPECT_EQ(part[1].line, 3);
  EXPECT_EQ(part.token_count(), 8);
}

TEST(ExampleStore, RefusesWhatDoesNotFit) {
  const std::vector<Example> wide = {{{int64_t{1} << 31}, {untaught}, 1}};
  EXPECT_THROW((ExampleStore(wide)), Error);
  const std::vector<Example> uneven = {{{1, 2}, {1}, 1}};
  EXPECT_THROW((ExampleStore(uneven)), Error);
}

TEST(ExampleStore, BatchesNameExamplesByTheirIndices) {
  const ExampleStore store = various_examples();
  const Numbers chosen{2, 0};
  Batch batch = make_batch(store.at(chosen), Numbers{0, 1});
  renumber(batch, chosen);
  EXPECT_EQ(batch.examples, chosen);
  EXPECT_EQ(batch.targets.examples, (Numbers{2, 0, 0, 0}));
  const Batch same = make_batch(various_examples(), chosen);
  EXPECT_EQ(batch.tokens, same.tokens);
  EXPECT_EQ(batch.targets.examples, same.targets.examples);
  EXPECT_EQ(batch.targets.tokens, same.targets.tokens);
}

}  // namespace
}  // namespace lowrank
