// Several adapters on one base: rows name theirs, and get the same result as with it alone.
#include <cmath>
#include <sstream>

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

class MixedAdapters : public test::ProgramTest {
 protected:
  void SetUp() override {
    const std::filesystem::path tokenizer = test::fixture("text/gpt2_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(tokenizer).vocabulary_size();
    test::write_tiny_model(model(), config);
    std::filesystem::copy_file(tokenizer / "tokenizer.json", model() / "tokenizer.json");
    train("a", "--method lora --rank 3");
    train("b", "--method houlsby");
    train("c", "--method layer_norm");
  }

  std::filesystem::path model() const { return folder.path() / "model"; }
  std::string adapter(const std::string& name) const { return (folder.path() / name).string(); }
  std::string named(const std::string& name) const { return " --adapter " + name + "=" + adapter(name); }

  void train(const std::string& name, const std::string& how) {
    const auto data = write("train.jsonl", R"({"prompt":"a b","completion":" gold"})"
                                           "\n");
    succeeds("train --dtype f32 --lr 0.05 --steps 3 --model " + model().string() + " --data " +
             data.string() + " --output " + adapter(name) + " " + how);
  }

  /// The losses of rows, in the file's order.
  std::vector<double> losses(const std::string& rows, const std::string& adapters) {
    const auto data = write("rows.jsonl", rows);
    const std::string out = succeeds("evaluate --json --dtype f32 --model " + model().string() + " --data " +
                                     data.string() + adapters)
                                .out;
    return nlohmann::json::parse(out)["rows"].get<std::vector<double>>();
  }
};

constexpr const char* mixed_row = R"({"prompt":"c d","completion":" silver","adapter":"NAME"})";

std::string rows_of(const std::vector<std::string>& names) {
  std::string rows;
  for (const std::string& name : names) {
    std::string next = mixed_row;
    next.replace(next.find("NAME"), 4, name);
    rows += next + "\n";
  }
  return rows;
}

TEST_F(MixedAdapters, RowsGetWhatTheyGetAlone) {
  const std::vector<double> mixed = losses(rows_of({"b", "base", "a", "b"}), named("a") + named("b"));
  ASSERT_EQ(mixed.size(), 4);
  const double a = losses(rows_of({"x"}), " --adapter " + adapter("a"))[0];
  const double b = losses(rows_of({"x"}), " --adapter " + adapter("b"))[0];
  const double base = losses(rows_of({"x"}), "")[0];
  EXPECT_GT(std::abs(a - base), 1e-4);
  EXPECT_GT(std::abs(b - base), 1e-4);
  EXPECT_NEAR(mixed[0], b, 1e-5);
  EXPECT_NEAR(mixed[1], base, 1e-5);
  EXPECT_NEAR(mixed[2], a, 1e-5);
  EXPECT_NEAR(mixed[3], b, 1e-5);
}

TEST_F(MixedAdapters, TextIsThatOfEachAlone) {
  const auto generate = [&](const std::string& rows, const std::string& adapters) {
    const auto data = write("prompts.jsonl", rows);
    const std::string out = succeeds("generate --dtype f32 --max-new-tokens 6 --ignore-eos --model " +
                                     model().string() + " --data " + data.string() + adapters)
                                .out;
    std::vector<std::string> texts;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);)
      texts.push_back(nlohmann::json::parse(line)["generated"].get<std::string>());
    return texts;
  };
  const auto mixed = generate(rows_of({"a", "base", "b"}), named("a") + named("b"));
  ASSERT_EQ(mixed.size(), 3);
  EXPECT_EQ(mixed[0], generate(rows_of({"x"}), " --adapter " + adapter("a"))[0]);
  EXPECT_EQ(mixed[1], generate(rows_of({"x"}), "")[0]);
  EXPECT_EQ(mixed[2], generate(rows_of({"x"}), " --adapter " + adapter("b"))[0]);
}

TEST_F(MixedAdapters, WhatCannotBeMixedIsRefused) {
  const std::string start = "evaluate --model " + model().string() + " --data ";
  const auto data = write("rows.jsonl", rows_of({"a", "law"})).string();
  refused(start + data + named("a") + named("b"), "rows.jsonl:2: there is no adapter 'law'");
  const auto nameless = write("rows.none.jsonl", R"({"prompt":"c","completion":" d"})"
                                                 "\n")
                            .string();
  refused(start + nameless + named("a") + named("b"), "rows.none.jsonl:1: the row names no adapter");
  refused(start + data + named("a") + named("a"), "two adapters are called a");
  refused(start + data + " --adapter " + adapter("a") + named("b"),
          "several adapters are given as NAME=FOLDER");
  refused(start + data + named("a") + named("c"), "replaces tensors of the base");
  refused("generate --prompt x --model " + model().string() + named("a") + named("b"),
          "--prompt and --messages are for one adapter");
}

}  // namespace
}  // namespace lowrank
