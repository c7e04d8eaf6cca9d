// lowrank intrinsic on tiny models: both projections end with their three files.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_encoder.h"

namespace lowrank {
namespace {

class IntrinsicProgram : public test::ProgramTest {
 protected:
  void SetUp() override {
    test::write_tiny_encoder(encoder());
    std::string table;
    for (const char* noun : {"film", "one", "story", "play", "cast", "plot"})
      table += fmt::format("good {0}\tup\nbad {0}\tdown\na good {0}\tup\na bad {0}\tdown\n", noun);
    labelled = write("rows.tsv", table).string();
    tokens = write("rows.jsonl",
                   "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n")
                 .string();
  }
  std::filesystem::path encoder() const { return folder.path() / "model"; }
  std::string decoder() const { return test::fixture("tiny_llama/linear").string(); }
  std::string labels(const std::string& more) const {
    return "intrinsic --model " + encoder().string() + " --data " + labelled + " --eval-data " + labelled +
           " --columns text=1,label=2 --dtype f32 --output " + out().string() + " " + more;
  }
  std::string language(const std::string& more,
                       const std::string& rates = "--steps 20 --full-lr 1e-3") const {
    return "intrinsic --model " + decoder() + " --data " + tokens + " --eval-data " + tokens +
           " --dtype f32 --batch-size 3 --output " + out().string() + " " + rates + " " + more;
  }
  nlohmann::json report() const { return read_json_file(out() / "intrinsic.json", 1 << 20); }
  void expect_files() const {
    for (const char* name : {"intrinsic.json", "intrinsic.md", "intrinsic.svg"})
      EXPECT_TRUE(std::filesystem::exists(out() / name)) << name;
    const auto files = std::filesystem::directory_iterator(out());
    EXPECT_EQ(std::distance(begin(files), end(files)), 3);
  }

  std::string labelled, tokens;
};

TEST_F(IntrinsicProgram, FindsADimensionOfLanguageModelling) {
  const test::Outcome outcome =
      succeeds(language("--method did --lr 1e-1 --share 0.5 --from 2 --to 2000 --json"));
  expect_files();
  const nlohmann::json found = report();
  EXPECT_EQ(nlohmann::json::parse(outcome.out), found);
  EXPECT_EQ(found["quality"], "share of the loss reduction");
  EXPECT_EQ(found["finished"], true);
  EXPECT_EQ(found["base"]["quality"], 0.0);
  EXPECT_EQ(found["reference"]["quality"], 1.0);
  EXPECT_LT(found["reference"]["loss"], found["base"]["loss"]);
  const double base = found["base"]["loss"];
  const double full = found["reference"]["loss"];
  ASSERT_FALSE(found["points"].empty());
  EXPECT_EQ(found["points"][0]["dimension"], 2);
  EXPECT_EQ(found["points"][0]["trained_parameters"], 2);
  bool smallest_is_a_point = false;
  for (const nlohmann::json& point : found["points"]) {
    const double quality = point["quality"];
    EXPECT_NEAR(quality, (base - point["loss"].get<double>()) / (base - full), 1e-9);
    EXPECT_EQ(point["reaches_goal"].get<bool>(), quality >= 0.5);
    smallest_is_a_point |= point["dimension"] == found["smallest"];
  }
  EXPECT_TRUE(smallest_is_a_point) << found;
  EXPECT_NE(outcome.err.find("Result: smallest d tried that reaches 0.5"), std::string::npos) << outcome.err;
}

TEST_F(IntrinsicProgram, StartsWhereTheMethodHasRoomForItsScales) {
  const test::Outcome refused_dimension =
      run("train --dry-run --method said --intrinsic-dimension 2 --model " + decoder());
  EXPECT_EQ(refused_dimension.code, 1);
  succeeds(language("--share 0.001 --from 2 --to 400"));
  const int64_t first = report()["points"][0]["dimension"];
  EXPECT_GT(first, 2);
  const std::string planned =
      "train --dry-run --method said --model " + decoder() + " --intrinsic-dimension ";
  succeeds(planned + std::to_string(first));
  EXPECT_EQ(run(planned + std::to_string(first - 1)).code, 1);
}

TEST_F(IntrinsicProgram, MeasuresClassesByAccuracy) {
  succeeds(labels("--steps 60 --batch-size 8 --full-lr 3e-3 --lr 1e-2 --from 50 --to 200"));
  const nlohmann::json found = report();
  EXPECT_EQ(found["quality"], "accuracy");
  EXPECT_GT(found["reference"]["quality"], 0.9);
  EXPECT_NEAR(found["goal"].get<double>(), 0.9 * found["reference"]["quality"].get<double>(), 1e-9);
  // The label head is trained in full besides the subspace.
  EXPECT_GT(found["points"][0]["trained_parameters"], found["points"][0]["dimension"]);
}

TEST_F(IntrinsicProgram, ProjectsAnEncodersFeatures) {
  succeeds(labels("--project inputs --draws 2 --penalty 0.001"));
  expect_files();
  const nlohmann::json found = report();
  EXPECT_EQ(found["base"]["quality"], 0.5);
  EXPECT_GT(found["reference"]["quality"], 0.9);
  EXPECT_EQ(found["points"][0]["dimension"], 1);
  EXPECT_EQ(found["points"].back()["dimension"], 32);
  EXPECT_GT(found["points"].back()["quality"], 0.9);
  EXPECT_LT(found["points"][0]["quality"], found["points"].back()["quality"]);
}

TEST_F(IntrinsicProgram, ProjectsTheLastStatesOfADecoder) {
  const std::filesystem::path llama = folder.path() / "llama";
  nlohmann::json config = test::tiny_llama_config();
  config["vocab_size"] = 1000;
  test::write_tiny_model(llama, config);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(test::fixture("text/bert_small") / name, llama / name);
  succeeds("intrinsic --model " + llama.string() + " --data " + labelled + " --eval-split 0.25" +
           " --columns text=1,label=2 --dtype f32 --project inputs --draws 1 --penalty 0.001 --output " +
           out().string());
  expect_files();
  EXPECT_EQ(report()["points"].back()["dimension"], 32);
}

TEST_F(IntrinsicProgram, RefusesWhatHasNoAnswer) {
  refused(language("--method lora"), "--method lora: it has no intrinsic dimension to search for; did, said");
  refused(labels("--project inputs --method did"), "--method is not known");
  const std::string without =
      "intrinsic --model " + decoder() + " --data " + tokens + " --output " + out().string();
  refused(without, "give --eval-data or --eval-split");
  refused(language("--reference prompt_tuning"), "it does not start from the base");
  // A rate at which full fine-tuning only does harm.
  refused(language("", "--steps 1 --full-lr 10"), "full does not improve on the base");
}

}  // namespace
}  // namespace lowrank
