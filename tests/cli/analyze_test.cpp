// `lowrank analyze` as a user calls it; its numbers are checked in tests/study.
#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

class AnalyzeCommand : public test::ProgramTest {
 protected:
  static std::string adapter(const std::string& name) {
    return test::fixture("combined").string() + "/" + name;
  }
  static std::string base() { return test::fixture("tiny_llama/linear").string(); }

  nlohmann::json json_from(const std::string& arguments) const {
    return parse_json(succeeds("analyze " + arguments + " --json").out, arguments);
  }
  std::string written(const std::string& name) const { return test::content_of(out() / name); }
};

TEST_F(AnalyzeCommand, SimilarityWritesTableResultsAndPage) {
  const std::string arguments = "analyze similarity " + adapter("patterns") + " " + adapter("second");
  const test::Outcome outcome = succeeds(arguments + " --output " + out().string());
  EXPECT_NE(outcome.out.find("| self_attn.q_proj (2) | inputs "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("patterns has 2 x self_attn.v_proj; they are not compared."), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("second has 2 x self_attn.k_proj"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("layers.0"), std::string::npos) << "single modules are in the files only";
  EXPECT_NE(written("results.md").find("| model.layers.0.self_attn.q_proj |"), std::string::npos);
  const nlohmann::json results = parse_json(written("results.json"), "results.json");
  EXPECT_EQ(results["kinds"].size(), 1U);
  EXPECT_EQ(results["modules"][1]["layer"], 1);
  EXPECT_EQ(results["modules"][0]["inputs"].size(), 6U);
  EXPECT_EQ(results["modules"][0]["outputs"][5].size(), 4U);
  const std::string page = written("index.html");
  for (const char* expected :
       {"default-src 'none'", "prefers-color-scheme: dark", "aria-label=\"random inputs\"",
        "<summary>Single modules</summary>", "layer 1, outputs"})
    EXPECT_NE(page.find(expected), std::string::npos) << expected;
  for (const char* foreign : {"<script", "http://127", "src=", "url("})
    EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
  // The same again, and with less in it.
  succeeds(arguments + " --directions 2 --modules layers.1.self_attn.q_proj --output " + out().string());
  const nlohmann::json fewer = parse_json(written("results.json"), "results.json");
  EXPECT_EQ(fewer["modules"].size(), 1U);
  EXPECT_EQ(fewer["modules"][0]["inputs"].size(), 2U);
}

TEST_F(AnalyzeCommand, AmplificationNeedsTheBase) {
  const nlohmann::json results =
      json_from("amplification " + adapter("first") + " --model " + base() + " --output " + out().string());
  EXPECT_EQ(results["modules"].size(), 4U);
  for (const nlohmann::json& kind : results["kinds"]) {
    EXPECT_GT(kind["amplification"].get<double>(), 0);
    EXPECT_GE(kind["weight_along_weight"].get<double>(), kind["weight_along_update"].get<double>());
  }
  EXPECT_NE(written("index.html").find("series-1"), std::string::npos);
  std::filesystem::remove_all(out());
  refused("analyze amplification " + adapter("first") + " --output " + out().string(), "--model");
}

TEST_F(AnalyzeCommand, TheSpectrumOfAMergedModelIsTheAdapters) {
  const std::string merged = (folder.path() / "merged").string();
  succeeds("merge --model " + base() + " --adapter " + adapter("first") + " --output " + merged);
  const nlohmann::json difference = json_from("spectrum --model " + base() + " --tuned " + merged);
  const nlohmann::json factors = json_from("spectrum " + adapter("first"));
  EXPECT_EQ(difference["without_update"].size(), 10U);
  ASSERT_EQ(difference["modules"].size(), factors["modules"].size());
  for (size_t i = 0; i < factors["modules"].size(); ++i) {
    const nlohmann::json& one = difference["modules"][i];
    const nlohmann::json& other = factors["modules"][i];
    EXPECT_EQ(one["module"], other["module"]);
    EXPECT_EQ(one["holds_99_percent"], other["holds_99_percent"]);
    EXPECT_NEAR(one["norm"].get<double>(), other["norm"].get<double>(), 1e-4);
    for (size_t k = 0; k < 4; ++k)
      EXPECT_NEAR(one["singular_values"][k].get<double>(), other["singular_values"][k].get<double>(), 1e-4);
    EXPECT_GT(one["share_of_weight"].get<double>(), 0);
    EXPECT_TRUE(other["share_of_weight"].is_null());
  }
  succeeds("analyze spectrum --model " + base() + " --tuned " + merged + " --output " + out().string());
  EXPECT_NE(written("index.html").find("share of |dW|^2"), std::string::npos);
}

TEST_F(AnalyzeCommand, OtherMethodsHaveASpectrumWithTheirBase) {
  const std::string gpt2 = test::fixture("golden/base_gpt2").string();
  const std::string ia3 = test::fixture("golden/gpt2_ia3").string();
  const nlohmann::json results = json_from("spectrum " + ia3 + " --model " + gpt2);
  EXPECT_GT(results["modules"].size(), 0U);
  refused("analyze spectrum " + ia3, "give --model");
  refused("analyze spectrum " + test::fixture("golden/gpt2_prompt").string() + " --model " + gpt2,
          "changes no weight of a linear layer");
}

TEST_F(AnalyzeCommand, RefusesWhatCannotBe) {
  refused("analyze similarity " + adapter("first"), "give two adapters");
  refused("analyze similarity " + adapter("first") + " " + adapter("nothing"), "no such file or folder");
  refused("analyze similarity " + adapter("first") + " " + adapter("first") + " --modules up_proj",
          "--modules");
  refused("analyze similarity " + adapter("expression") + " " + adapter("expression_too") + " --output " +
              out().string(),
          "no module in common");
  refused("analyze similarity " + adapter("first") + " " + adapter("first") + " --directions -1",
          "--directions");
  refused(
      "analyze amplification " + adapter("first") + " --model " + test::fixture("golden/base_gpt2").string(),
      "the model has no model.layers.0.self_attn.q_proj");
  refused("analyze spectrum", "give one adapter, or two models");
  refused("analyze spectrum --tuned " + base(), "--model");
  refused("analyze spectrum --model " + base() + " --tuned " + test::fixture("golden/base_gpt2").string(),
          "is no tuned form of");
  refused("analyze spectrum --model " + base() + " --tuned " + base(), "every update is zero");
  refused("analyze similarites", "similarity");
}

}  // namespace
}  // namespace lowrank
