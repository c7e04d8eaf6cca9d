// Ids of whole data sets against checksums of transformers' ids (tests/fixtures/make_text.py).
#include <fstream>
#include <iterator>

#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

std::vector<std::string> lines(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

std::vector<std::string> texts_of(const std::filesystem::path& data, const std::string& file) {
  std::vector<std::string> texts = lines(data / file);
  if (!file.ends_with(".jsonl")) return texts;
  std::vector<std::string> fields;
  for (const std::string& line : texts) {
    if (line.empty()) continue;
    const auto row = nlohmann::json::parse(line);
    fields.push_back(row["question"]);
    fields.push_back(row["answer"]);
  }
  return fields;
}

void expect_checksum(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                     const nlohmann::json& expected) {
  uint64_t checksum = 0xCBF29CE484222325U;
  size_t tokens = 0;
  for (const std::string& text : texts) {
    auto ids = tokenizer.encode(text, true);
    tokens += ids.size();
    ids.push_back(-1);
    for (const int64_t id : ids) checksum = (checksum ^ static_cast<uint64_t>(id)) * 0x100000001B3U;
  }
  EXPECT_EQ(texts.size(), expected["texts"].get<size_t>());
  EXPECT_EQ(tokens, expected["tokens"].get<size_t>());
  EXPECT_EQ(fmt::format("{:016x}", checksum), expected["checksum"].get<std::string>());
}

/// A real tokenizer: its name in corpora.json, and where it is.
struct RealTokenizer {
  const char* name;
  const char*
      variable;  ///< environment variable with its file or folder; null: `data/NAME` in the shared folder

  std::optional<std::filesystem::path> path() const {
    const char* named = variable ? std::getenv(variable) : nullptr;
    if (named) return named;
    const auto shared = shared_folder();
    return variable || !shared ? std::nullopt : std::optional(*shared / "data" / name);
  }
  std::string missing() const { return std::string("needs ") + (variable ? variable : "LOWRANK_SHARED"); }
};

class Corpora : public testing::TestWithParam<RealTokenizer> {};

TEST_P(Corpora, AwkwardTextsHaveTheirIds) {
  const auto path = GetParam().path();
  if (!path) GTEST_SKIP() << GetParam().missing();
  const Tokenizer tokenizer = load_tokenizer(*path);
  if (!GetParam().variable) {
    EXPECT_EQ(tokenizer.spec().eos, 50256);
  }
  expect_checksum(tokenizer, torture(), json_of(text_fixture("corpora.json"))[GetParam().name]["torture"]);
}

TEST_P(Corpora, DataSetsHaveTheirIds) {
  const auto path = GetParam().path();
  if (!path) GTEST_SKIP() << GetParam().missing();
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "needs LOWRANK_SHARED";
  const Tokenizer tokenizer = load_tokenizer(*path);
  const nlohmann::json files = json_of(text_fixture("corpora.json"))[GetParam().name];
  for (const auto& [file, expected] : files.items()) {
    SCOPED_TRACE(file);
    if (file != "torture") expect_checksum(tokenizer, texts_of(*shared / "data", file), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(RealTokenizers, Corpora,
                         testing::Values(RealTokenizer{"smollm2", "LOWRANK_MODEL"},
                                         RealTokenizer{"gemma3", "LOWRANK_GEMMA"},
                                         RealTokenizer{"minilm", "LOWRANK_MINILM"},
                                         RealTokenizer{"gpt2", nullptr}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lowrank::test
