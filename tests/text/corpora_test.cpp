// Ids of whole data sets against checksums of those that transformers gives (tests/fixtures/make_text.py).
#include <fstream>
#include <iterator>

#include "text/fixtures.h"

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
  if (file == "torture") return torture();
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

void expect_checksums(const Tokenizer& tokenizer, const std::string& name,
                      const std::filesystem::path& data) {
  const auto corpora = json_of(text_fixture("corpora.json"));
  for (const auto& [file, expected] : corpora.at(name).items()) {
    uint64_t checksum = 0xCBF29CE484222325U;
    size_t tokens = 0;
    const auto texts = texts_of(data, file);
    for (const std::string& text : texts) {
      auto ids = tokenizer.encode(text, true);
      tokens += ids.size();
      ids.push_back(-1);
      for (const int64_t id : ids) checksum = (checksum ^ static_cast<uint64_t>(id)) * 0x100000001B3U;
    }
    EXPECT_EQ(texts.size(), expected["texts"].get<size_t>()) << file;
    EXPECT_EQ(tokens, expected["tokens"].get<size_t>()) << file;
    EXPECT_EQ(fmt::format("{:016x}", checksum), expected["checksum"].get<std::string>()) << file;
  }
}

TEST(Corpora, SmolLm2FromGguf) {
  const auto model = real_model();
  const auto shared = shared_folder();
  if (!model || !shared) GTEST_SKIP() << "needs LOWRANK_MODEL and LOWRANK_SHARED";
  expect_checksums(load_tokenizer(*model), "smollm2", *shared / "data");
}

TEST(Corpora, Gemma3FromGguf) {
  const char* model = std::getenv("LOWRANK_GEMMA");
  const auto shared = shared_folder();
  if (!model || !shared) GTEST_SKIP() << "needs LOWRANK_GEMMA (tools/setup gemma) and LOWRANK_SHARED";
  expect_checksums(load_tokenizer(model), "gemma3", *shared / "data");
}

TEST(Corpora, MiniLmFromFolder) {
  const char* model = std::getenv("LOWRANK_MINILM");
  const auto shared = shared_folder();
  if (!model || !shared) GTEST_SKIP() << "needs LOWRANK_MINILM (tools/setup minilm) and LOWRANK_SHARED";
  expect_checksums(load_tokenizer(model), "minilm", *shared / "data");
}

TEST(Corpora, Gpt2FromFolder) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "needs LOWRANK_SHARED";
  const Tokenizer tokenizer = load_tokenizer(*shared / "data" / "gpt2");
  EXPECT_EQ(tokenizer.spec().eos, 50256);
  expect_checksums(tokenizer, "gpt2", *shared / "data");
}

}  // namespace
}  // namespace lowrank::test
