// What training reports about its rows, and where they may be located.
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

class TrainingRows : public test::ProgramTest {
 protected:
  std::string train(const std::string& data, const std::string& output, const std::string& more = "") const {
    return "train --model " + test::fixture("tiny_llama/linear").string() + " --data '" + data +
           "' --output " + output + " --steps 1 --dtype f32 " + more;
  }
};

constexpr const char* long_rows =
    "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n";

TEST_F(TrainingRows, SayHowManyTokensALimitLoses) {
  const std::string data = write("rows.jsonl", long_rows).string();
  EXPECT_NE(succeeds(train(data, out().string(), "--max-length 3"))
                .err.find("2 examples are longer than 3 tokens (--max-length) and are cut: 3 of their 9 "
                          "tokens are not used"),
            std::string::npos);
}

TEST_F(TrainingRows, ThatACutLeavesNothingOfAreCountedOnce) {
  const std::string data = write("rows.jsonl",
                                 "{\"input_ids\":[1,2,3,4],\"labels\":[-100,-100,3,4]}\n"
                                 "{\"input_ids\":[1,2,3],\"labels\":[-100,2,3]}\n"
                                 "{\"input_ids\":[8],\"labels\":[8]}\n")
                               .string();
  const std::string told = succeeds(train(data, out().string(), "--max-length 2")).err;
  for (const char* sentence :
       {"training: 1 example, 2 tokens; 1 row without a target is left out",
        "1 row is longer than 2 tokens (--max-length), has no target within that length, and is left out",
        "1 example is longer than 2 tokens (--max-length) and is cut: 1 of its 3 tokens are not used"})
    EXPECT_NE(told.find(sentence), std::string::npos) << sentence << '\n' << told;
}

TEST_F(TrainingRows, AreShownByTheirLineOrTheirNumberInAnArray) {
  const std::string rows = R"([{"input_ids":[1,2,3]},
{"input_ids":[4,5]}])";
  const std::string array = write("rows.json", rows).string();
  const std::string told = succeeds(train(array, out().string(), "--show-rows 2")).err;
  EXPECT_NE(told.find("row 2: 2 tokens, 1 target"), std::string::npos) << told;
  const std::string lines = write("rows.jsonl", long_rows).string();
  const std::string shown = succeeds(train(lines, out().string() + "2", "--show-rows 2")).err;
  EXPECT_NE(shown.find("line 2: 3 tokens, 2 targets"), std::string::npos) << shown;
}

TEST_F(TrainingRows, DoNotLieBesideWhatTheRunWrites) {
  const std::string data = write("rows.jsonl", long_rows).string();
  const std::string place = folder.path().string();
  refused(train(place, place), "give it a folder of its own");
  refused(train(place + "/*.jsonl", place), "give it a folder of its own");
  succeeds(train(place, out().string()));
  succeeds(train(place, out().string() + "2"));
}

TEST_F(TrainingRows, WithoutPromptsAreNotSaidToHaveAny) {
  const std::string data = write("rows.jsonl", long_rows).string();
  const std::string told = succeeds(train(data, out().string(), "--batch-size 3")).err;
  EXPECT_EQ(told.find("prompts"), std::string::npos) << told;
  EXPECT_NE(told.find("micro-batches of up to 9 tokens"), std::string::npos) << told;
}

}  // namespace
}  // namespace lowrank
