// `lowrank adapters` as a user calls it; its numbers are checked in tests/peft/combination_test.cpp.
#include <cmath>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class AdaptersCommand : public test::ProgramTest {
 protected:
  static std::string combined(const std::string& name) {
    return test::fixture("combined").string() + "/" + name;
  }

  nlohmann::json json_from(const std::string& arguments) const {
    return parse_json(succeeds(arguments + " --json").out, arguments);
  }

  static nlohmann::json entry(const nlohmann::json& list, const std::string& name) {
    for (const nlohmann::json& one : list) {
      if (one["name"] == name) return one;
    }
    ADD_FAILURE() << "no " << name << " in " << list.dump();
    return nullptr;
  }

  void copy(const std::string& from, const std::string& to) const {
    fs::create_directories(folder.path() / "all");
    fs::copy(combined(from), folder.path() / "all" / to);
  }
};

TEST_F(AdaptersCommand, ListsWhatAFolderHolds) {
  const nlohmann::json list = json_from("adapters list " + test::fixture("combined").string());
  EXPECT_EQ(list.size(), 8U);
  const nlohmann::json patterns = entry(list, "patterns");
  EXPECT_EQ(patterns["method"], "lora");
  EXPECT_EQ(patterns["ranks"], nlohmann::json({2, 6}));
  EXPECT_EQ(patterns["targets"], nlohmann::json({"q_proj", "v_proj"}));
  EXPECT_EQ(patterns["base"], "tiny_llama/linear");
  const nlohmann::json expected = read_json_file(combined("expected.json"), 1 << 20);
  const nlohmann::json& compared = expected["comparisons"][4];
  ASSERT_EQ(compared["adapters"][0], "patterns");
  EXPECT_NEAR(patterns["norm"].get<double>(), compared["norms"][0].get<double>(), 1e-6);
  // An adapter itself, and several places.
  EXPECT_EQ(json_from("adapters list " + combined("first") + " " + combined("second")).size(), 2U);
  EXPECT_EQ(json_from("adapters list " + combined("first") + " --folders " + combined("second")).size(), 2U);
  const std::string table = succeeds("adapters list " + combined("patterns")).out;
  EXPECT_NE(table.find("|  2-6 | q_proj,v_proj |"), std::string::npos) << table;
}

TEST_F(AdaptersCommand, ListsOtherMethodsAndTheirNormsWithTheBase) {
  const std::string ia3 = test::fixture("golden/gpt2_ia3").string();
  const std::string base = " --model " + test::fixture("golden/base_gpt2").string();
  EXPECT_TRUE(json_from("adapters list " + ia3)[0]["norm"].is_null());
  const nlohmann::json with_base = json_from("adapters list " + ia3 + base)[0];
  EXPECT_EQ(with_base["method"], "ia3");
  EXPECT_GT(with_base["norm"].get<double>(), 0);
  const std::string prompt = test::fixture("golden/gpt2_prompt").string();
  EXPECT_TRUE(json_from("adapters list " + prompt + base)[0]["norm"].is_null());
  const nlohmann::json of_another =
      json_from("adapters list " + test::fixture("golden/vera").string() + base)[0];
  EXPECT_EQ(of_another["method"], "vera");
  EXPECT_TRUE(of_another.contains("note") && !of_another.contains("problem")) << of_another.dump();
}

TEST_F(AdaptersCommand, BrokenOnesAreListedWithTheReason) {
  for (const char* name : {"good", "cut", "no_tensors", "no_config", "not_json", "other_rank", "odd_type"})
    copy("first", name);
  const fs::path all = folder.path() / "all";
  fs::resize_file(all / "cut/adapter_model.safetensors", 500);
  fs::remove(all / "no_tensors/adapter_model.safetensors");
  fs::remove(all / "no_config/adapter_config.json");
  write("all/not_json/adapter_config.json", "{");
  write("all/odd_type/adapter_config.json", R"({"peft_type": "UNHEARD_OF"})");
  nlohmann::json config = read_json_file(all / "other_rank/adapter_config.json", 1 << 20);
  config["r"] = 5;
  write("all/other_rank/adapter_config.json", config.dump());
  write("all/file.gguf", "GGUF");
  fs::create_directories(all / "no_adapter");
  const nlohmann::json list = json_from("adapters list " + all.string());
  EXPECT_EQ(list.size(), 8U);
  EXPECT_FALSE(entry(list, "good").contains("problem"));
  for (const char* name : {"cut", "no_tensors", "no_config", "not_json", "odd_type", "file.gguf"})
    EXPECT_GT(entry(list, name).value("problem", "").size(), 20U) << name;
  const std::string rank = entry(list, "other_rank").value("problem", "");
  EXPECT_NE(rank.find("4 rows where the configuration's rank is 5"), std::string::npos) << rank;
  const std::string table = succeeds("adapters list " + all.string()).out;
  EXPECT_NE(table.find("odd_type: cannot be used: "), std::string::npos) << table;
}

TEST_F(AdaptersCommand, CombinesAndComparesWhatItWrote) {
  const std::string two = "--adapter a=" + combined("first") + " --adapter b=" + combined("patterns");
  const nlohmann::json result =
      json_from("adapters combine " + two + " --weights 0.5,-1 --output " + out().string());
  EXPECT_EQ(result["rank"], 10);
  const nlohmann::json listed = json_from("adapters list " + out().string())[0];
  EXPECT_NEAR(listed["norm"].get<double>(), result["norm"].get<double>(), 1e-6);
  EXPECT_EQ(listed["base"], "tiny_llama/linear");
  const std::string base = test::fixture("tiny_llama/linear").string();
  const auto rows = write("rows.jsonl", "{\"input_ids\":[1,2,3,4]}\n{\"input_ids\":[4,5,6]}\n");
  succeeds("evaluate --json --model " + base + " --adapter " + out().string() + " --data " + rows.string());
  // <a/2 - b, b> = <a, b>/2 - |b|^2
  const nlohmann::json parts = json_from("adapters diff " + combined("first") + " " + combined("patterns"));
  const nlohmann::json whole = json_from("adapters diff " + out().string() + " " + combined("patterns"));
  const auto number = [](const nlohmann::json& value) { return value.get<double>(); };
  const double b = number(parts["norms"][1]);
  const double product = number(parts["cosine"]) * number(parts["norms"][0]) * b;
  EXPECT_NEAR(number(whole["cosine"]) * number(whole["norms"][0]) * b, product / 2 - b * b, 1e-4);
  const std::string table = succeeds("adapters diff " + combined("first") + " " + combined("second")).out;
  EXPECT_NE(table.find("layers.0.self_attn.k_proj |      - |"), std::string::npos) << table;
}

TEST_F(AdaptersCommand, GgufLorasNeedTheirBase) {
  const std::string base = test::fixture("tiny_llama/linear").string();
  const std::string gguf = (folder.path() / "first.gguf").string();
  succeeds("export --model " + base + " --adapter " + combined("first") + " --output " + gguf);
  const nlohmann::json listed = json_from("adapters list " + gguf)[0];
  const nlohmann::json folder_listed = json_from("adapters list " + combined("first"))[0];
  EXPECT_NEAR(listed["norm"].get<double>(), folder_listed["norm"].get<double>(), 1e-5);
  EXPECT_EQ(listed["parameters"], folder_listed["parameters"]);
  EXPECT_EQ(listed["targets"], nlohmann::json({"attn_q", "attn_v"}));
  EXPECT_EQ(listed["base"], "");
  EXPECT_EQ(listed["architecture"], "llama");
  EXPECT_NE(succeeds("adapters list " + gguf).out.find("| (llama) |"), std::string::npos);
  const std::string two = "--adapter a=" + gguf + " --adapter b=" + combined("second");
  refused("adapters combine " + two + " --weights 1,1 --output " + out().string(), "give --model");
  const nlohmann::json same =
      json_from("adapters diff " + gguf + " " + combined("first") + " --model " + base);
  EXPECT_NEAR(same["cosine"].get<double>(), 1, 1e-9);
  json_from("adapters combine " + two + " --weights 1,1 --output " + out().string() + " --model " + base);
}

TEST_F(AdaptersCommand, RefusesWhatCannotBe) {
  const std::string to = " --output " + out().string();
  const std::string two = "--adapter a=" + combined("first") + " --adapter b=" + combined("patterns");
  refused("adapters combine " + two + " --weights 1" + to, "--weights: 1 for 2 adapters");
  refused("adapters combine " + two + to, "missing --weights");
  refused("adapters combine --weights 1" + to, "missing --adapter");
  refused("adapters combine " + two + " --weights 1,x" + to, "list of numbers");
  refused("adapters combine " + two + " --weights 1,1 --type linear" + to,
          "cat and the types that end in svd");
  refused("adapters combine " + two + " --weights 1,1 --type ties --density 2" + to, "between 0 and 1");
  refused("adapters combine " + two + " --weights 1,1 --type dare" + to, "--type must be one of");
  refused("adapters diff " + combined("first"), "give two adapters");
  refused("adapters diff " + combined("first") + " " + combined("nothing"), "no such file or folder");
  refused("adapters list " + combined("nothing"), "no such folder or file");
  refused("adapters list", "missing a folder");
  refused("adapters lst", "did you mean list?");
  fs::create_directories(folder.path() / "taken");
  write("taken/file", "x");
  refused("adapters combine " + two + " --weights 1,1 --output " + (folder.path() / "taken").string(),
          "exists already");
}

}  // namespace
}  // namespace lowrank
