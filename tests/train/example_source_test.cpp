// Batches of weighted sources and of a number of tokens, and the plan of runs on them.
#include "train/example_source.h"

#include <cmath>

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/tiny_model.h"
#include "train/run_plan.h"

namespace lowrank {
namespace {

/// Examples of 1 to 9 tokens; the first token is the example's number.
std::vector<Example> numbered_examples(int64_t count) {
  std::vector<Example> rows;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> tokens(static_cast<size_t>(1 + i * 7 % 9), 3);
    tokens.front() = i;
    rows.push_back({tokens, tokens});
  }
  return rows;
}

/// The examples of a step's micro-batches.
std::vector<std::vector<int64_t>> examples_in(const StepBatches& step) {
  std::vector<std::vector<int64_t>> all;
  for (const Batch& batch : step.batches) all.push_back(batch.examples);
  return all;
}

TrainOptions by_tokens(int64_t tokens, int64_t grad_accum = 1) {
  TrainOptions options;
  options.tokens_per_batch = tokens;
  options.grad_accum = grad_accum;
  options.share_prompts = false;
  return options;
}

const BatchLayout whole{Task::embedding};

TEST(TokensPerBatch, EachEpochTakesEveryExampleOnceWithinTheLimit) {
  const std::vector<Example> rows = numbered_examples(60);
  ExampleSource source(rows, by_tokens(20), whole);
  EXPECT_FALSE(source.steps_per_epoch().has_value());
  int64_t step = 0;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<int64_t> order = epoch_order(60, 0, epoch, true);
    std::vector<int64_t> seen;
    for (const int64_t end = step + *source.steps_in(epoch); step < end; ++step) {
      const StepBatches found = source.batches(step);
      ASSERT_EQ(found.batches.size(), 1U);
      EXPECT_LE(found.tokens, 20);
      EXPECT_EQ(found.tokens, found.batches[0].token_count());
      seen.insert(seen.end(), found.batches[0].examples.begin(), found.batches[0].examples.end());
      if (step + 1 == end) continue;
      EXPECT_GT(found.tokens + std::ssize(rows[order[seen.size()]].tokens), 20) << "the next one fits";
    }
    EXPECT_EQ(seen, order) << epoch;
  }
}

TEST(TokensPerBatch, AStepDependsOnItsNumberAlone) {
  const std::vector<Example> rows = numbered_examples(40);
  const TrainOptions options = by_tokens(15, 2);
  ExampleSource from_the_start(rows, options, whole);
  const int64_t last = *from_the_start.steps_in(0) + *from_the_start.steps_in(1) + 1;
  for (int64_t step = 0; step < last; ++step) from_the_start.batches(step);
  ExampleSource resumed(rows, options, whole);
  EXPECT_EQ(examples_in(resumed.batches(last)), examples_in(from_the_start.batches(last)));
  EXPECT_EQ(resumed.batches(last).batches.size(), 2U);
}

TEST(TokensPerBatch, ALongExampleIsAStepOfItsOwn) {
  TrainOptions options = by_tokens(4);
  options.shuffle = false;
  ExampleSource source(test::random_examples({2, 2, 9, 3}, 50), options, whole);
  EXPECT_EQ(source.steps_in(0), 3);
  EXPECT_EQ(source.batches(0).tokens, 4);
  EXPECT_EQ(source.batches(1).tokens, 9);
  EXPECT_EQ(source.batches(2).tokens, 3);
  EXPECT_EQ(source.batches(3).tokens, 4) << "the next epoch";
}

TEST(TokensPerBatch, ThePlanCountsTheStepsOfEachPass) {
  const std::vector<Example> rows = numbered_examples(60);
  TrainOptions options = by_tokens(20);
  options.epochs = 2.5;
  ExampleSource source(rows, options, whole);
  const RunPlan plan = plan_run(options, source);
  const int64_t first = *source.steps_in(0), second = *source.steps_in(1), third = *source.steps_in(2);
  EXPECT_EQ(plan.steps_per_epoch, first);
  EXPECT_EQ(plan.total_steps, first + second + (third + 1) / 2);
  EXPECT_EQ(plan.epoch(0), 0);
  EXPECT_EQ(plan.epoch(first), 1);
  EXPECT_EQ(plan.epoch(first + second), 2);
  EXPECT_NEAR(plan.epoch(plan.total_steps), 2.5, 0.5 / static_cast<double>(third));
  EXPECT_TRUE(plan.ends_epoch(first));
  EXPECT_FALSE(plan.ends_epoch(first + 1));
  EXPECT_TRUE(plan.ends_epoch(first + second));
  options.steps = first + 1;
  const RunPlan given = plan_run(options, source);
  EXPECT_EQ(given.total_steps, first + 1);
  EXPECT_EQ(given.epoch(first + 1), 1 + 1 / static_cast<double>(second));
}

TEST(TokensPerBatch, ReplacesTheBatchSize) {
  TrainOptions options = by_tokens(20);
  options.batch_size = 8;
  test::expect_error(ErrorKind::invalid, "`batch_size` 8", "`tokens_per_batch` 20",
                     [&] { ExampleSource(numbered_examples(3), options, whole); });
  std::vector<Field> fields = options.fields();
  EXPECT_EQ(find_field(fields, "batch_size")->get(), 8);
  options.batch_size.reset();
  EXPECT_TRUE(find_field(fields, "batch_size")->get().is_null());
  EXPECT_EQ(TrainOptions().rows_per_batch(), 8);
}

TEST(Weights, DecideHowOftenExamplesCome) {
  TrainOptions options;
  options.batch_size = 3;
  const WeightedExamples examples(numbered_examples(10), {{4, 2}, {6, 0.5}});
  for (const bool grouped : {false, true}) {
    options.group_prompts = grouped;
    ExampleSource source(examples, options, whole);
    EXPECT_EQ(source.steps_per_epoch(), 4) << "8 and 3 examples in steps of 3";
    std::vector<int64_t> counts(10);
    for (int64_t step = 0; step < 8; ++step) {
      const StepBatches found = source.batches(step);
      for (const int64_t example : found.batches[0].examples) ++counts[example];
    }
    EXPECT_EQ(counts, (std::vector<int64_t>{4, 4, 4, 4, 1, 1, 1, 1, 1, 1})) << grouped;
    ExampleSource again(examples, options, whole);
    EXPECT_EQ(examples_in(again.batches(6)), examples_in(source.batches(6)));
  }
}

TEST(Weights, OfOneLeaveTheOrderAsItIs) {
  TrainOptions options;
  options.batch_size = 10;
  ExampleSource plain(numbered_examples(10), options, whole);
  ExampleSource parts(WeightedExamples(numbered_examples(10), {{4, 1}, {6, 1}}), options, whole);
  for (int64_t step = 0; step < 3; ++step) {
    EXPECT_EQ(examples_in(plain.batches(step)), examples_in(parts.batches(step)));
    EXPECT_EQ(plain.batches(step).batches[0].examples, epoch_order(10, 0, step, true));
  }
}

TEST(Weights, ThatLeaveNothingAreRefused) {
  test::expect_error(ErrorKind::invalid, "the weight 0.1", "leaves none of 4 examples", [] {
    ExampleSource(WeightedExamples(numbered_examples(10), {{4, 0.1}, {6, 1}}), {}, whole);
  });
}

/// 20 rows, of which those in `left_out` are no examples.
WeightedExamples partly_left_out(const std::vector<int64_t>& left_out) {
  WeightedExamples examples(numbered_examples(20 - std::ssize(left_out)));
  for (const int64_t row : left_out) examples.left_out.add(row);
  return examples;
}

TEST(LeftOut, RowsArePassedOverInTheOrderOfAllRows) {
  const std::vector<int64_t> left_out{0, 3, 4, 11, 19};
  TrainOptions options;
  options.batch_size = 2;
  options.grad_accum = 2;
  ExampleSource source(partly_left_out(left_out), options, whole);
  EXPECT_EQ(source.steps_per_epoch(), 4);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> expected, seen;
    for (const int64_t row : epoch_order(20, 0, epoch, true)) {
      const auto before = std::ranges::lower_bound(left_out, row);
      if (before == left_out.end() || *before != row) expected.push_back(row - (before - left_out.begin()));
    }
    for (int64_t step = 0; step < 4; ++step) {
      const StepBatches found = source.batches(4 * epoch + step);
      ASSERT_EQ(found.batches.size(), 2U);
      for (const Batch& batch : found.batches) {
        EXPECT_EQ(batch.examples.size(), step == 3 && &batch == &found.batches.back() ? 1U : 2U);
        seen.insert(seen.end(), batch.examples.begin(), batch.examples.end());
      }
    }
    EXPECT_EQ(seen, expected) << epoch;
  }
}

TEST(LeftOut, EpochsCountTheRowsPassedOver) {
  TrainOptions options;
  options.batch_size = 4;
  options.shuffle = false;
  ExampleSource source(partly_left_out({0, 1, 2, 3, 18, 19}), options, whole);
  // Rows 4 to 7, 8 to 11, 12 to 15, and then the rest.
  const std::vector<double> shares{2. / 5, 3. / 5, 4. / 5, 1, 7. / 5};
  for (int64_t step = 0; step < std::ssize(shares); ++step)
    EXPECT_EQ(source.batches(step).epoch, shares[step]) << step;
  ExampleSource all(numbered_examples(20), options, whole);
  EXPECT_EQ(all.batches(0).epoch, std::nullopt) << "the plan's";
}

TEST(LeftOut, RowsDoNotCountWhereExamplesAreWeightedOrGrouped) {
  TrainOptions options;
  options.batch_size = 4;
  const auto same_as_without = [&](WeightedExamples examples) {
    ExampleSource with(examples, options, whole);
    examples.left_out = {};
    ExampleSource without(examples, options, whole);
    const StepBatches found = with.batches(0);
    EXPECT_FALSE(found.epoch.has_value());
    EXPECT_EQ(examples_in(found), examples_in(without.batches(0)));
  };
  WeightedExamples weighted = partly_left_out({0, 7});
  weighted.sources = {{18, 2}};
  same_as_without(weighted);
  options.group_prompts = true;
  same_as_without(partly_left_out({0, 7}));
}

/// Rows that are all read once that many single ones were.
class ReadSlowly final : public EarlyExamples {
 public:
  ReadSlowly(WeightedExamples whole, int64_t singly) : whole_(std::move(whole)), left_(singly) {}

  int64_t rows() const override { return whole_.rows(); }
  std::optional<Example> example(int64_t row) override {
    --left_;
    if (row == bad) fail(ErrorKind::invalid, "row {}", row);
    const std::optional<int64_t> number = ExampleNumbers(whole_.left_out, rows()).of(row);
    return number ? std::optional(whole_.examples[*number]) : std::nullopt;
  }
  const WeightedExamples* whole() override {
    if (left_ > 0) return nullptr;
    return &wait();
  }
  const WeightedExamples& wait() override {
    left_ = 0;
    check(bad < 0, ErrorKind::invalid, "row {} and others", bad);
    return whole_;
  }

  int64_t bad = -1;

 private:
  WeightedExamples whole_;
  int64_t left_;
};

TEST(EarlyExamples, GiveTheSameStepsWheneverAllRowsAreThere) {
  TrainOptions options;
  options.batch_size = 2;
  options.grad_accum = 2;
  const std::vector<int64_t> some{0, 3, 4, 11, 19}, none;
  for (const std::vector<int64_t>& left_out : {some, none}) {
    ExampleSource usual(partly_left_out(left_out), options, whole);
    const RunPlan plan{12, usual.steps_per_epoch()};
    for (const int64_t singly : {1, 5, 9, 20, 1000}) {
      WeightedExamples examples;
      examples.early = std::make_shared<ReadSlowly>(partly_left_out(left_out), singly);
      ExampleSource source(examples, options, whole);
      EXPECT_EQ(source.steps_per_epoch(), std::nullopt);
      source.batches(1);
      for (int64_t step = 0; step < 12; ++step) {
        const StepBatches found = source.batches(step), expected = usual.batches(step);
        ASSERT_EQ(found.batches.size(), expected.batches.size()) << step;
        for (size_t i = 0; i < found.batches.size(); ++i) {
          EXPECT_EQ(found.batches[i].tokens, expected.batches[i].tokens) << step;
          EXPECT_EQ(found.batches[i].offsets, expected.batches[i].offsets) << step;
        }
        EXPECT_EQ(found.tokens, expected.tokens);
        EXPECT_EQ(found.epoch, expected.epoch.value_or(plan.epoch(step + 1))) << step;
      }
      EXPECT_EQ(source.steps_per_epoch(), plan.steps_per_epoch);
    }
  }
}

TEST(EarlyExamples, WithErrorsAreToldByWhatReadsAllRows) {
  const auto rows = std::make_shared<ReadSlowly>(partly_left_out({}), 1000);
  TrainOptions options;
  options.batch_size = 4;
  options.shuffle = false;
  WeightedExamples examples;
  examples.early = rows;
  ExampleSource source(examples, options, whole);
  rows->bad = 9;
  EXPECT_EQ(source.batches(0).batches[0].examples, (std::vector<int64_t>{0, 1, 2, 3}));
  test::expect_error(ErrorKind::invalid, "row 9 and others", "", [&] { source.batches(2); });
  test::expect_error(ErrorKind::invalid, "row 9 and others", "", [&] { source.finish(); });
}

}  // namespace
}  // namespace lowrank
