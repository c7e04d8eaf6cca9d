// Advice on options that probably do not do what was meant.
#include "session/run_warnings.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace lowrank {
namespace {

struct Asked {
  Asked() { train.batch_size = 8; }

  std::vector<std::string> warnings() const {
    return run_warnings({train, samples, plan, examples, evaluated, "lora", 2e-4, false});
  }
  /// The only warning; empty if there is none or more than one.
  std::string warning() const {
    const std::vector<std::string> found = warnings();
    return found.size() == 1 ? found[0] : "";
  }

  TrainOptions train;
  SampleOptions samples;
  RunPlan plan{300, 100};
  int64_t examples = 800, evaluated = 0;
};

bool says(const std::string& warning, std::initializer_list<const char*> parts) {
  return std::ranges::all_of(parts,
                             [&](const char* part) { return warning.find(part) != std::string::npos; });
}

TEST(RunWarnings, AreSilentOnUsualRuns) {
  Asked asked;
  EXPECT_TRUE(asked.warnings().empty());
  asked.train.lr = 1e-3;
  asked.train.warmup = 30;
  asked.train.save_every = 50;
  asked.train.keep = 2;
  asked.train.eval_every = 50;
  asked.train.early_stop = 3;
  asked.evaluated = 10;
  asked.samples = {100, "prompts.jsonl"};
  EXPECT_TRUE(asked.warnings().empty());
}

TEST(RunWarnings, OfLearningRatesFarFromTheMethods) {
  Asked asked;
  asked.train.lr = 1;
  EXPECT_TRUE(says(asked.warning(), {"`lr` 1 is 5000 times", "lora", "0.0002", "lower"})) << asked.warning();
  asked.train.lr = 1e-6;
  EXPECT_TRUE(says(asked.warning(), {"`lr` 1e-06 is a 200th", "higher"})) << asked.warning();
}

TEST(RunWarnings, OfAWarmupThatFillsTheRun) {
  Asked asked;
  asked.train.warmup = 300;
  EXPECT_TRUE(says(asked.warning(), {"`warmup` 300", "300 steps", "give about 30"})) << asked.warning();
}

TEST(RunWarnings, OfFewStepsAndLargeBatches) {
  Asked asked;
  asked.train.batch_size = 400;
  asked.plan = {6, 2};
  EXPECT_TRUE(
      says(asked.warning(), {"only 6 steps of 400", "`batch_size` (120 makes 20 steps)", "`epochs` (10)"}))
      << asked.warning();
  asked.train.steps = 6;  // chosen
  EXPECT_TRUE(says(asked.warning(), {"`batch_size` is 400", "128"})) << asked.warning();
  asked = Asked();
  asked.train.grad_accum = 32;
  asked.plan = {100, 4};
  EXPECT_TRUE(says(asked.warning(), {"`batch_size` times `grad_accum` is 256"})) << asked.warning();
  asked = Asked();
  asked.examples = 3;
  asked.train.batch_size = 1;
  asked.plan = {9, 3};
  EXPECT_TRUE(says(asked.warning(), {"only 9 steps: give more `epochs` (7 make 20 steps)"}))
      << asked.warning();
}

TEST(RunWarnings, OfOptionsWithoutEffect) {
  const auto only = [](const char* name, auto&& change) {
    Asked asked;
    change(asked);
    EXPECT_TRUE(says(asked.warning(), {name, "has no effect"})) << name << ": " << asked.warnings().size();
  };
  only("`epochs`", [](Asked& asked) { asked.train.steps = 300, asked.train.epochs = 5; });
  only("`keep`", [](Asked& asked) { asked.train.keep = 2; });
  only("`save_every`", [](Asked& asked) { asked.train.save_every = 300; });
  only("`eval_every`", [](Asked& asked) { asked.train.eval_every = 10; });
  only("`sample_data`", [](Asked& asked) { asked.samples.data = "prompts.jsonl"; });
  only("`log_every`", [](Asked& asked) { asked.train.log_every = 301; });
  only("`early_stop`", [](Asked& asked) { asked.train.early_stop = 3, asked.evaluated = 10; });
}

TEST(RunWarnings, EarlyStoppingNeedsEvaluations) {
  TrainOptions train;
  EXPECT_NO_THROW(check_evaluated(train, false));
  train.early_stop = 2;
  EXPECT_NO_THROW(check_evaluated(train, true));
  test::expect_error(ErrorKind::invalid, "`early_stop` 2", "eval_data",
                     [&] { check_evaluated(train, false); });
}

}  // namespace
}  // namespace lowrank
