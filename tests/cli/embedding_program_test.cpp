// The program on rows whose texts are compared: training, evaluation, vectors, merging, and what it refuses.
#include <cmath>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

constexpr const char* pairs =
    "{\"anchor\":\"what is a mill\",\"positive\":\"A mill grinds corn.\"}\n"
    "{\"anchor\":\"where is the river\",\"positive\":\"The river runs past the mill.\"}\n"
    "{\"anchor\":\"who left in 1999\",\"positive\":\"Nobody could remember who left.\"}\n"
    "{\"anchor\":\"what turns\",\"positive\":\"The wheel always turns, the miller said.\"}\n";
constexpr const char* scored =
    "{\"sentence1\":\"The mill is old.\",\"sentence2\":\"It is an old mill.\",\"score\":0.9}\n"
    "{\"sentence1\":\"The river runs.\",\"sentence2\":\"A wheel turns in 1999.\",\"score\":-0.5}\n"
    "{\"sentence1\":\"Nobody left.\",\"sentence2\":\"Who left?\",\"score\":0.2}\n";

class EmbeddingProgram : public test::ProgramTest {
 protected:
  static std::string model(const std::string& name) { return test::fixture("embeddings/" + name).string(); }
  std::string train(const std::string& name, const std::string& data, const std::string& more = "") const {
    return "train --model " + model(name) + " --data " + data + " --output " + out().string() +
           " --dtype f32 --steps 40 --batch-size 4 --lr 2e-2 --rank 4 " + more;
  }
  nlohmann::json figures(const std::string& name, const std::string& data, const std::string& more) const {
    return nlohmann::json::parse(
        succeeds("evaluate --model " + model(name) + " --data " + data + " --dtype f32 --json " + more).out);
  }
  std::vector<double> vector(const std::string& arguments) const {
    return nlohmann::json::parse(
        succeeds("embed --dtype f32 --text 'what is a mill' " + arguments).out)["embedding"];
  }
};

class EmbeddingProgramOn : public EmbeddingProgram, public testing::WithParamInterface<const char*> {};

TEST_P(EmbeddingProgramOn, LearnsPairsEvaluatesEmbedsAndMerges) {
  const std::string name = GetParam();
  const std::string data = write("pairs.jsonl", pairs).string();
  const std::string adapted = "--adapter " + out().string();
  succeeds(train(name, data, "--eval-data " + data + " --eval-every 20 --mini-batch-size 3"));
  EXPECT_EQ(read_json_file(out() / "adapter_config.json", 1 << 20)["task_type"], "FEATURE_EXTRACTION");
  const nlohmann::json before = figures(name, data, ""), after = figures(name, data, adapted);
  EXPECT_LT(after["loss"].get<double>(), 0.5 * before["loss"].get<double>());
  EXPECT_EQ(after["cosine_accuracy@1"], 1.0);
  EXPECT_EQ(after["rows"].size(), 4U);
  const std::vector<double> plain = vector("--model " + model(name)),
                            own = vector("--model " + model(name) + " " + adapted);
  const std::string merged = (folder.path() / "merged").string();
  succeeds("merge --model " + model(name) + " " + adapted + " --output " + merged);
  const std::vector<double> whole = vector("--model " + merged);
  ASSERT_EQ(whole.size(), own.size());
  double moved = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    EXPECT_NEAR(whole[i], own[i], 1e-4) << i;
    moved = std::max(moved, std::abs(own[i] - plain[i]));
  }
  EXPECT_GT(moved, 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingProgramOn, testing::Values("qwen3", "gemma3", "bert"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(EmbeddingProgram, LearnsScoresAndResumes) {
  const std::string data = write("scored.jsonl", scored).string();
  succeeds(train("bert", data, "--save-every 20"));
  const nlohmann::json after = figures("bert", data, "--adapter " + out().string());
  EXPECT_LT(after["loss"].get<double>(), 0.02);
  EXPECT_GT(after["spearman_cosine"].get<double>(), 0.9);
}

TEST_F(EmbeddingProgram, TakesLabelsForScoresWhereEmbeddingsAreAskedFor) {
  std::string labelled = scored;
  for (size_t at = 0; (at = labelled.find("score", at)) != std::string::npos;)
    labelled.replace(at, 5, "label");
  const std::string data = write("labelled.jsonl", labelled).string();
  succeeds(train("bert", data, "--task embedding --embedding-loss cosent"));
  EXPECT_EQ(read_json_file(out() / "adapter_config.json", 1 << 20)["task_type"], "FEATURE_EXTRACTION");
}

TEST_F(EmbeddingProgram, EmbedsWithThePromptsOfTheModel) {
  const std::vector<double> named = vector("--model " + model("gemma3") + " --prompt query"),
                            spelled = vector("--model " + model("gemma3") +
                                             " --prompt 'task: search result | query: '");
  EXPECT_EQ(named, spelled);
  EXPECT_NE(named, vector("--model " + model("gemma3")));
}

TEST_F(EmbeddingProgram, RefusesWhatCannotBeCompared) {
  const std::string data = write("pairs.jsonl", pairs).string();
  refused("train --model " + model("bert") + " --data " + data + " --output " + out().string() +
              " --steps 4 --batch-size 1",
          "a batch of one row has nothing that the loss compares");
  refused(train("bert", data, "--embedding-loss cosine_similarity"),
          "--embedding-loss cosine_similarity is for");
  refused(train("bert", data, "--matryoshka-dims 64"), "the model's vectors have 32 values");
  refused("train --model " + model("bert") + " --data " + data + " --output " + out().string() +
              " --tokens-per-batch 64",
          "--tokens-per-batch is not for embeddings");
  refused(train("qwen3", data, "--sample-every 2"), "not for embeddings");
  const std::string bad = write("bad.jsonl",
                                "{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":\"a\"}\n"
                                "{\"anchor\":\"\",\"positive\":\"b\"}\n")
                              .string();
  refused(train("bert", bad), "there is no \"positive\"");
  refused(train("bert", bad), "\"anchor\" is empty");
  const std::string texts = write("texts.jsonl", "{\"text\":\"a\"}\n").string();
  refused(train("qwen3", texts, "--task embedding"), "not on rows of format text");
  refused(train("qwen3", texts, "--matryoshka-dims 8"),
          "--matryoshka-dims is for rows that train embeddings");
}

}  // namespace
}  // namespace lowrank
