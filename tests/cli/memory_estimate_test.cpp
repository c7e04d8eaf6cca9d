// The memory that `train` predicts before the first step is close to what it then uses.
#include <regex>

#include <gtest/gtest.h>

#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

class MemoryEstimate : public test::ProgramTest {
 protected:
  static double number(const std::string& text, const std::string& pattern) {
    std::smatch found;
    return std::regex_search(text, found, std::regex(pattern)) ? std::stod(found[1]) : 0;
  }
};

TEST_F(MemoryEstimate, IsNearThePeak) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  const auto model = test::real_model();
  if (!model) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  for (const char* more : {"", "--dtype f32", "--gradient-checkpointing", "--target-modules all-linear"}) {
    const test::Outcome outcome = succeeds("train --model " + model->string() + " --data " +
                                           test::fixture("smollm2/rows.jsonl").string() + " --output " +
                                           out().string() + " --overwrite --steps 3 --batch-size 16 " + more);
    const double told = number(outcome.err, "memory: about ([0-9]+) MB");
    const double taken = number(outcome.err, "tokens/s, ([0-9]+) MB\\), loss");
    // So short a run has not yet filled the libraries' buffers.
    EXPECT_NEAR(told, taken, 0.2 * taken) << more << '\n' << outcome.err;
    EXPECT_LE(taken, 1.05 * told) << more << '\n' << outcome.err;
  }
}

TEST_F(MemoryEstimate, StaysWithinTheLimit) {
  const auto model = test::real_model();
  if (!model) GTEST_SKIP() << "LOWRANK_MODEL names no SmolLM2 GGUF file";
  const std::string command = "train --model " + model->string() + " --data " +
                              test::fixture("smollm2/rows.jsonl").string() + " --output " + out().string() +
                              " --overwrite --steps 1 --batch-size 16";
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  refused(command + " --memory-limit 100", "more than --memory-limit 100");
  const test::Outcome free = succeeds(command), ample = succeeds(command + " --memory-limit 20000");
  const double kept = number(free.err, "memory: about ([0-9]+) MB");
  EXPECT_GT(number(ample.err, "memory: about ([0-9]+) MB"), 0.9 * kept) << ample.err;
  const auto limit = static_cast<int64_t>(kept) - 60;  // of the 130 MB that recomputing saves
  const test::Outcome within = succeeds(command + " --memory-limit " + std::to_string(limit));
  EXPECT_NE(within.err.find("layers are recomputed"), std::string::npos) << within.err;
  EXPECT_LE(number(within.err, "memory: about ([0-9]+) MB"), limit);
  EXPECT_EQ(number(within.err, "loss ([0-9.]+) ->"), number(free.err, "loss ([0-9.]+) ->"));
}

}  // namespace
}  // namespace lowrank
