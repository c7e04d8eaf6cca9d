// lowrank generate with beam search: its texts in every form of output, and options that make no sense.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

class BeamSearchProgram : public test::ProgramTest {
 protected:
  void SetUp() override {
    const std::filesystem::path tokenizer = test::fixture("text/gpt2_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(tokenizer).vocabulary_size();
    test::write_tiny_model(model(), config);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      std::filesystem::copy_file(tokenizer / name, model() / name);
  }
  std::filesystem::path model() const { return folder.path() / "model"; }
  std::string generate(const std::string& more) const {
    return "generate --dtype f32 --max-new-tokens 6 --model " + model().string() + " " + more;
  }
};

TEST_F(BeamSearchProgram, PromptAndRowsHaveTheSameTexts) {
  const std::string search =
      " --num-beams 4 --num-return-sequences 3 --length-penalty 0.9 --early-stopping never";
  const auto json = nlohmann::json::parse(succeeds(generate("--json --prompt 'a b'" + search)).out);
  ASSERT_EQ(json["others"].size(), 2);
  EXPECT_LE(json["others"][0]["score"], json["score"]);
  EXPECT_LE(json["others"][1]["score"], json["others"][0]["score"]);
  const std::string best = json["completion"], second = json["others"][0]["completion"],
                    third = json["others"][1]["completion"];
  EXPECT_EQ(succeeds(generate("--prompt 'a b'" + search)).out,
            best + "\n\n" + second + "\n\n" + third + "\n");
  const auto data = write("rows.jsonl", "{\"prompt\":\"c\"}\n{\"prompt\":\"a b\"}\n");
  const std::string rows = succeeds(generate("--data " + data.string() + search)).out;
  const auto row = nlohmann::json::parse(rows.substr(rows.find('\n')));
  EXPECT_EQ(row["generated"], best);
  EXPECT_EQ(row["generated_others"], (nlohmann::json{second, third}));
}

TEST_F(BeamSearchProgram, ATruthValueInAFileIsTheSameWord) {
  const std::string search = "--json --prompt a --num-beams 2 ";
  const std::string expected = succeeds(generate(search + "--early-stopping true")).out;
  const auto file = write("options.yaml", "early_stopping: true\n");
  EXPECT_EQ(succeeds(generate(search + "--config " + file.string())).out, expected);
}

TEST_F(BeamSearchProgram, OptionsThatMakeNoSenseAreRefused) {
  const auto refuses = [&](const std::string& more, const std::string& expected) {
    refused(generate("--prompt a " + more), expected);
  };
  refuses("--num-beams 0", "--num-beams must be between 1 and");
  refuses("--num-beams 2 --num-return-sequences 3", "--num-return-sequences is 3, but --num-beams 2");
  refuses("--num-return-sequences 2", "--num-return-sequences is 2, but --num-beams 1");
  refuses("--length-penalty 2", "--length-penalty is for beam search: give --num-beams above 1");
  refuses("--num-beams 2 --temperature 1", "--temperature above 0 draws tokens at random");
  refuses("--num-beams 2 --early-stopping sometimes", "--early-stopping must be one of false, true, never");
  refuses("--min-new-tokens 7", "--min-new-tokens is 7, but --max-new-tokens 6");
  refuses("--num-beams 2 --no-repeat-ngram-size -1", "--no-repeat-ngram-size must be between 0");
  refused("chat --num-beams 2 --model " + model().string(), "--num-beams");
}

}  // namespace
}  // namespace lowrank
