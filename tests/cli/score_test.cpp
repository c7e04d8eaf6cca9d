// lowrank score, through the program.
#include <nlohmann/json.hpp>

#include "support/program.h"

namespace lowrank {
namespace {

class ScoreCommand : public test::ProgramTest {
 protected:
  nlohmann::json scores(const std::string& arguments) const {
    return nlohmann::json::parse(succeeds("score --json " + arguments).out);
  }
};

TEST_F(ScoreCommand, LinesAgainstLinesOrBlocks) {
  const std::string predictions = write("predictions.txt", "a small text of six words\n\n").string();
  const std::string lines = write("lines.txt", "a small text of six words\nsome\n").string();
  const std::string blocks = write("blocks.txt", "a text\na small text of six words\n\nsome\n").string();
  const nlohmann::json single =
      scores("--metric bleu,exact_match --predictions " + predictions + " --references " + lines);
  EXPECT_EQ(single["texts"], 2);
  EXPECT_EQ(single["scores"]["exact_match"], 0.5);
  EXPECT_EQ(single["signatures"]["bleu"], "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
  const nlohmann::json several =
      scores("--metric bleu,exact_match --blocks --predictions " + predictions + " --references " + blocks);
  EXPECT_EQ(several["scores"]["bleu"], single["scores"]["bleu"]);
  EXPECT_NE(succeeds("score --metric exact_match --predictions " + predictions + " --references " + lines)
                .out.find("exact_match 0.5000"),
            std::string::npos);
}

TEST_F(ScoreCommand, RowsHoldTheirReferences) {
  const std::string generated =
      write("generated.jsonl",
            "{\"prompt\":\"x\",\"completion\":\"a b\",\"generated\":\"a b\"}\n"
            "{\"references\":[\"c\",\"d\"],\"completion\":\"e\",\"generated\":\"d\"}\n")
          .string();
  EXPECT_EQ(scores("--metric exact_match --predictions " + generated)["scores"]["exact_match"], 1.0);
  const std::string labelled =
      write("labelled.jsonl",
            "{\"label\":1,\"predicted_label\":\"1\"}\n{\"label\":0,\"predicted_label\":\"1\"}\n")
          .string();
  const nlohmann::json labels = scores("--metric accuracy,f1,matthews --predictions " + labelled);
  EXPECT_EQ(labels["scores"]["accuracy"], 0.5);
  EXPECT_NEAR(labels["scores"]["f1"].get<double>(), 2.0 / 3, 1e-12);
  EXPECT_EQ(labels["scores"]["matthews"], 0.0);
  // Classes without names are numbers in rows.
  const std::string unnamed =
      write("unnamed.jsonl",
            "{\"label\":1,\"predicted_label\":\"LABEL_1\"}\n{\"label\":0,\"predicted_label\":\"LABEL_1\"}\n")
          .string();
  EXPECT_EQ(scores("--metric accuracy --predictions " + unnamed)["scores"]["accuracy"], 0.5);
  const std::string apart =
      write("apart.jsonl", "{\"label\":\"good\",\"predicted_label\":\"positive\"}\n").string();
  EXPECT_NE(succeeds("score --metric accuracy --predictions " + apart).err.find("are they named alike"),
            std::string::npos);
  const std::string numbers =
      write("numbers.jsonl", "{\"a\":1,\"b\":2.5}\n{\"a\":2,\"b\":3}\n{\"a\":3,\"b\":\"4e0\"}\n").string();
  EXPECT_NEAR(scores("--metric spearman --prediction-key a --reference-key b --predictions " +
                     numbers)["scores"]["spearman"]
                  .get<double>(),
              1.0, 1e-12);
}

TEST_F(ScoreCommand, BadInputIsOneSentence) {
  refused("score --metric bleu --predictions " +
              write("null.jsonl", "{\"generated\":null,\"references\":[\"a\"]}\n").string(),
          "null.jsonl:1: \"generated\" is null");
  const std::string two = write("two.txt", "a\nb\n").string(), one = write("one.txt", "a\n").string();
  const std::string rows = write("rows.jsonl", "{\"generated\":\"a\",\"references\":[]}\n").string();
  refused("score --metric bleu --predictions " + two, "--references is missing");
  refused("score --predictions " + two + " --references " + one, "--metric is missing");
  refused("score --metric blue --predictions " + two + " --references " + one, "there is no metric \"blue\"");
  refused("score --metric bleu --predictions " + two + " --references " + one,
          "2 predictions have 1 lists of references");
  refused("score --metric bleu --predictions " + rows, "the list of references of text 1 is empty");
  refused("score --metric pearson --predictions " + two + " --references " + two,
          "\"a\", text 1, is not a number");
  refused("score --metric bleu --predictions " + rows + " --prediction-key text", "the row has no key text");
}

}  // namespace
}  // namespace lowrank
