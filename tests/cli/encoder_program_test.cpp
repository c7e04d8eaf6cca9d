// The program on an encoder: labelled rows in, a label head out.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_encoder.h"

namespace lowrank {
namespace {

constexpr const char* table = "good film\t1\nbad film\t0\na good one\t1\na bad one\t0\n";

class EncoderProgram : public test::ProgramTest {
 protected:
  void SetUp() override {
    test::write_tiny_encoder(model());
    data = write("rows.tsv", table).string();
  }
  std::filesystem::path model() const { return folder.path() / "model"; }
  std::string train(const std::string& more = "") const {
    return "train --model " + model().string() + " --data " + data + " --columns text=1,label=2 --output " +
           out().string() + " --dtype f32 --steps 60 --batch-size 4 --lr 2e-2 " + more;
  }
  std::string with_adapter(const std::string& command) const {
    return command + " --model " + model().string() + " --adapter " + out().string() + " --dtype f32 ";
  }
  std::string data;
};

TEST_F(EncoderProgram, LearnsLabelsTellsThemAndMerges) {
  succeeds(train("--rank 4"));
  EXPECT_EQ(read_json_file(out() / "labels.json", 1 << 20)["id2label"],
            nlohmann::json({{"0", "0"}, {"1", "1"}}));
  EXPECT_EQ(read_json_file(out() / "adapter_config.json", 1 << 20)["task_type"], "SEQ_CLS");
  const test::Outcome evaluated =
      succeeds(with_adapter("evaluate") + "--data " + data + " --columns text=1,label=2 --json");
  const nlohmann::json figures = nlohmann::json::parse(evaluated.out);
  EXPECT_EQ(figures["accuracy"], 1.0);
  EXPECT_LT(figures["loss"], 0.3);
  const test::Outcome labelled = succeeds(with_adapter("classify") + "--text 'good film'");
  EXPECT_EQ(nlohmann::json::parse(labelled.out)["label"], "1");
  // A row's own label is not the model's.
  const test::Outcome beside =
      succeeds(with_adapter("classify") + "--data " + data + " --columns text=1,label=2");
  const nlohmann::json first = nlohmann::json::parse(beside.out.substr(0, beside.out.find('\n')));
  EXPECT_EQ(first["label"], "1");
  EXPECT_EQ(first["predicted_label"], "1");
  const std::string merged = (folder.path() / "merged").string();
  const test::Outcome merge = succeeds("merge --model " + model().string() + " --adapter " + out().string() +
                                       " --output " + merged + " --json");
  EXPECT_LT(nlohmann::json::parse(merge.out)["largest_logit_difference"], 1e-4);
  const test::Outcome alone = succeeds("classify --model " + merged + " --dtype f32 --text 'bad film'");
  EXPECT_EQ(nlohmann::json::parse(alone.out)["label"], "0");
}

TEST_F(EncoderProgram, LearnsSeveralLabelsOfPairsOfTexts) {
  const std::string rows =
      write("pairs.jsonl",
            "{\"sentence1\":\"good film\",\"sentence2\":\"good food\",\"label\":[\"film\",\"food\"]}\n"
            "{\"sentence1\":\"good film\",\"sentence2\":\"bad food\",\"label\":[\"film\"]}\n"
            "{\"sentence1\":\"bad film\",\"sentence2\":\"good food\",\"label\":[\"food\"]}\n"
            "{\"sentence1\":\"bad film\",\"sentence2\":\"bad food\",\"label\":[]}\n")
          .string();
  succeeds("train --model " + model().string() + " --data " + rows + " --output " + out().string() +
           " --dtype f32 --steps 80 --batch-size 4 --lr 2e-2 --rank 4");
  EXPECT_EQ(read_json_file(out() / "labels.json", 1 << 20)["problem_type"], "multi_label_classification");
  const nlohmann::json figures =
      nlohmann::json::parse(succeeds(with_adapter("evaluate") + "--data " + rows + " --json").out);
  EXPECT_EQ(figures["accuracy"], 1.0);
  EXPECT_EQ(figures["f1"], 1.0);
  EXPECT_LT(figures["loss"], 0.3);
  const std::string labelled = succeeds(with_adapter("classify") + "--data " + rows).out;
  const nlohmann::json first = nlohmann::json::parse(labelled.substr(0, labelled.find('\n')));
  EXPECT_EQ(first["predicted_label"], nlohmann::json({"film", "food"}));
  EXPECT_GT(first["probabilities"]["film"], 0.5);
}

TEST_F(EncoderProgram, LearnsValues) {
  succeeds(train("--task regression --target-modules query-value"));
  const test::Outcome evaluated =
      succeeds(with_adapter("evaluate") + "--data " + data + " --columns text=1,label=2 --json");
  EXPECT_GT(nlohmann::json::parse(evaluated.out)["correlation"], 0.9);
  const test::Outcome valued = succeeds(with_adapter("classify") + "--text 'good film'");
  EXPECT_TRUE(nlohmann::json::parse(valued.out)["label"].is_number_float());
}

TEST_F(EncoderProgram, EmbedsTextsToLengthOneWhereAsked) {
  const test::Outcome embedded = succeeds("embed --model " + model().string() +
                                          " --normalise --dtype f32 --data " + data + " --columns text=1");
  const nlohmann::json first = nlohmann::json::parse(embedded.out.substr(0, embedded.out.find('\n')));
  double length = 0;
  for (const double value : first["embedding"]) length += value * value;
  EXPECT_EQ(first["embedding"].size(), 32);
  EXPECT_NEAR(length, 1, 1e-5);
}

TEST_F(EncoderProgram, RefusesWhatAnEncoderCannotDo) {
  refused("generate --model " + model().string() + " --prompt x", "an encoder generates no text");
  refused("evaluate --model " + model().string() + " --data " + data + " --columns text=1,label=2",
          "give --adapter with one");
  refused("classify --model " + model().string() + " --text x", "the model has no label head");
  const std::string llama = test::fixture("tiny_llama/linear").string();
  refused("train --model " + llama + " --data " + data + " --output " + out().string() + " --task regression",
          "is a causal language model");
  const std::string one = write("one.jsonl", "{\"text\":\"a\",\"label\":1}\n").string();
  refused("train --model " + model().string() + " --data " + one + " --output " + out().string(),
          "all rows have the label '1'");
}

}  // namespace
}  // namespace lowrank
