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
