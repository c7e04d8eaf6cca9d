// Rows with results: what a row already has is unchanged, and finished work is not lost.
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_encoder.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

class ResultRows : public test::ProgramTest {
 protected:
  std::filesystem::path model() const { return folder.path() / "model"; }

  void make_decoder() {
    const std::filesystem::path tokenizer = test::fixture("text/gpt2_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(tokenizer).vocabulary_size();
    test::write_tiny_model(model(), config);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      if (std::filesystem::exists(tokenizer / name))
        std::filesystem::copy_file(tokenizer / name, model() / name);
    }
  }
  std::string generate(const std::filesystem::path& data, const std::string& more = "") const {
    return "generate --dtype f32 --max-new-tokens 3 --model " + model().string() + " --data " +
           data.string() + " " + more;
  }
  /// Names in the test's folder other than the data, the model and the program's errors.
  std::vector<std::string> others() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      const std::string name = entry.path().filename().string();
      if (name != "stderr" && name != "model" && !name.starts_with("rows.")) names.push_back(name);
    }
    return names;
  }
};

TEST_F(ResultRows, GeneratedTextHasAKeyOfItsOwnAndNumbersKeepTheirDigits) {
  make_decoder();
  const std::string row =
      R"({"id":12345678901234567890123456789,"n":1.10,"e":1e22,"prompt":"a b","completion":"gold"})";
  const auto data = write("rows.jsonl", row + "\n");
  const std::string line = succeeds(generate(data)).out;
  const std::string kept = row.substr(0, row.size() - 1) + R"(,"generated":)";
  EXPECT_EQ(line.substr(0, kept.size()), kept);
  const auto again = write("rows.second.jsonl", line);
  const test::Outcome twice = succeeds(generate(again));
  EXPECT_EQ(twice.out.substr(0, kept.size()), kept);
  EXPECT_NE(twice.err.find("\"generated\" of the rows is replaced"), std::string::npos) << twice.err;
}

TEST_F(ResultRows, WhatCannotSucceedIsRefusedBeforeTheWork) {
  make_decoder();
  std::string words;
  for (int i = 0; i < 200; ++i) words += " 7";
  const auto data = write("rows.jsonl", R"({"prompt":"a"})"
                                        "\n"
                                        R"({"prompt":")" +
                                            words + "\"}\n");
  refused(generate(data, "--output " + out().string()), "rows.jsonl:2: the prompt has 400 tokens");
  EXPECT_EQ(run(generate(data)).out, "");
  const auto good = write("rows.good.jsonl", "{\"prompt\":\"a\"}\n");
  const std::string before = test::content_of(good);
  refused(generate(good, "--output " + (folder.path() / "none/x.jsonl").string()), "none/x.jsonl");
  refused(generate(good, "--output " + folder.path().string()), "a folder where a file is to be written");
  refused(generate(good, "--output " + good.string()), "--output is a file that --data reads");
  refused(generate(folder.path(), "--output " + (model() / "../rows.good.jsonl").string()),
          "--output is a file that --data reads");
  EXPECT_EQ(test::content_of(good), before);
  EXPECT_TRUE(others().empty());
}

TEST_F(ResultRows, WhatIsFinishedBeforeAnErrorIsKept) {
  make_decoder();
  const Tokenizer tokenizer = load_tokenizer(model());
  const int64_t bad = tokenizer.encode("Q", false).front();
  test::overwrite_values(model(), "model.embed_tokens.weight", std::nanf(""), 32, bad * 32);
  const auto data = write("rows.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"Q\"}\n");
  const test::Outcome outcome = run(generate(data, "--batch-size 1 --output " + out().string()));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("2 of 3 rows are in " + out().string()), std::string::npos) << outcome.err;
  const std::string kept = test::content_of(out());
  EXPECT_EQ(std::ranges::count(kept, '\n'), 2);
  const test::Outcome streamed = run(generate(data, "--batch-size 1"));
  EXPECT_EQ(streamed.code, 1);
  EXPECT_EQ(streamed.out, kept);
  EXPECT_EQ(others(), std::vector<std::string>{"out"});
}

TEST_F(ResultRows, ASignalEndsTheWorkBetweenTwoTokens) {
  make_decoder();
  std::string prompts;
  for (int i = 0; i < 3000; ++i) prompts += "{\"prompt\":\"a\"}\n";
  const auto data = write("rows.jsonl", prompts);
  // The first row on standard output is the signal.
  write("rows.sh", "cd " + folder.path().string() + "\nmkfifo out\n" + LOWRANK_PROGRAM + " " +
                       generate(data, "--batch-size 1") +
                       " > out 2> stderr &\n"
                       "{ read line; kill -INT $!; cat > rest; } < out\nwait $!\n");
  const int status = std::system(("sh " + (folder.path() / "rows.sh").string()).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const std::string told = test::content_of(folder.path() / "stderr");
  const int64_t rows = std::ranges::count(test::content_of(folder.path() / "rest"), '\n') + 1;
  EXPECT_LT(rows, 3000);
  EXPECT_NE(told.find("(" + std::to_string(rows) + " of 3000 rows are written)"), std::string::npos) << told;
}

TEST_F(ResultRows, EmbeddingsFollowTheModelsLongestText) {
  test::write_tiny_encoder(model());
  const auto data = write("rows.jsonl", "{\"text\":\"good good good good\",\"id\":1.50}\n");
  const std::string embed = "embed --dtype f32 --model " + model().string() + " --data " + data.string();
  const std::string whole = succeeds(embed).out;
  EXPECT_NE(whole.find("\"id\":1.50,"), std::string::npos) << whole.substr(0, 100);
  std::filesystem::create_directory(model() / "1_Pooling");
  write("model/modules.json", R"([{"type":"sentence_transformers.models.Transformer","path":""},)"
                              R"({"type":"sentence_transformers.models.Pooling","path":"1_Pooling"}])");
  write("model/1_Pooling/config.json", R"({"embedding_dimension":32,"pooling_mode":"mean"})");
  EXPECT_EQ(succeeds(embed).out, whole);
  write("model/sentence_bert_config.json", R"({"max_seq_length":4})");
  const test::Outcome cut = succeeds(embed);
  EXPECT_NE(cut.out, whole);
  EXPECT_NE(cut.err.find("longer than the 4 tokens"), std::string::npos) << cut.err;
  refused(embed + " --output " + (folder.path() / "none/x").string(), "none/x");
  refused(embed + " --output " + data.string(), "--output is a file that --data reads");
}

}  // namespace
}  // namespace lowrank
