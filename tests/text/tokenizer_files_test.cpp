// What stands beside tokenizer.json, and files that must be refused.
#include "text/fixtures.h"

namespace lowrank::test {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

/// A folder whose tokenizer.json is gpt2_small's after a change.
class TokenizerFolder {
 public:
  json tokenizer = json_of(text_fixture("gpt2_small") / "tokenizer.json");

  Tokenizer load() const {
    scratch_.write("tokenizer.json", tokenizer.dump());
    return load_tokenizer(scratch_.path());
  }
  void add(const std::string& name, const std::string& text) const { scratch_.write(name, text); }
  std::filesystem::path path() const { return scratch_.path(); }

  void expect(ErrorKind kind, std::string_view part) const {
    const std::string message = message_of(kind, [&] { load(); });
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
    EXPECT_NE(message.find(scratch_.path().string()), std::string::npos) << message;
  }

 private:
  Scratch scratch_;
};

TEST(TokenizerFiles, SpecialTokensComeFromTheConfigThenTheMap) {
  TokenizerFolder folder;
  folder.add("tokenizer_config.json", R"({"bos_token":{"content":"<|endoftext|>"},"eos_token":"</s>"})");
  folder.add("special_tokens_map.json",
             R"({"eos_token":"<never>","pad_token":{"content":"</s>","lstrip":true}})");
  const Tokenizer tokenizer = folder.load();
  const int64_t next = 1000;  // the vocabulary has 1000 tokens; transformers gives a new one the next id
  EXPECT_EQ(tokenizer.spec().bos, 0);
  EXPECT_EQ(tokenizer.spec().eos, next);
  EXPECT_EQ(tokenizer.spec().pad, next);
  EXPECT_EQ(tokenizer.encode("</s>", false), Ids{next});
  EXPECT_EQ(tokenizer.decode(Ids{next}, true), "");
}

TEST(TokenizerFiles, EndTokensAreTheUnionWithTheEosToken) {
  TokenizerFolder folder;
  folder.add("tokenizer_config.json", R"({"eos_token":"<|endoftext|>"})");
  folder.add("config.json", R"({"eos_token_id":7})");
  EXPECT_EQ(folder.load().spec().end_tokens, (Ids{7, 0}));
  folder.add("generation_config.json", R"({"eos_token_id":[5,0]})");
  EXPECT_EQ(folder.load().spec().end_tokens, (Ids{5, 0}));
  folder.add("generation_config.json", R"({"eos_token_id":"5"})");
  folder.expect(ErrorKind::invalid, "eos_token_id must be token ids");
}

TEST(TokenizerFiles, TheChatTemplateIsReadFromItsFileFirst) {
  TokenizerFolder folder;
  folder.add("tokenizer_config.json", R"({"chat_template":"old"})");
  EXPECT_EQ(folder.load().spec().chat_template, "old");
  folder.add("chat_template.jinja", "new");
  EXPECT_EQ(folder.load().spec().chat_template, "new");
}

TEST(TokenizerFiles, MergesMayBeStringsAndTheLastOfTwoCounts) {
  TokenizerFolder folder;
  json merges = json::array();
  for (const json& merge : folder.tokenizer["model"]["merges"]) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  const std::string text = "a cheap coffee shop";
  EXPECT_EQ(folder.load().encode(text, false), (Ids{65, 444, 287, 289}));
  folder.tokenizer["model"]["merges"] = merges;
  EXPECT_EQ(folder.load().encode(text, false), (Ids{65, 444, 287, 289}));
  // A second " c" at the end: the letter is merged with what follows it first, as in the reference.
  ASSERT_EQ(merges[2], "\u0120 c");
  merges.push_back(merges[2]);
  folder.tokenizer["model"]["merges"] = merges;
  EXPECT_EQ(folder.load().encode(text, false), (Ids{65, 444, 221, 817, 289}));
}

TEST(TokenizerFiles, TokensOutsideTheAlphabetAreNeverMet) {
  TokenizerFolder folder;
  folder.tokenizer["model"]["vocab"]["\u5317\u4EAC"] = 1000;
  const Tokenizer tokenizer = folder.load();
  EXPECT_GT(tokenizer.encode("\u5317\u4EAC", false).size(), 1U);
  EXPECT_EQ(tokenizer.decode(Ids{1000}, false), "\u5317\u4EAC");
}

TEST(TokenizerFiles, RefusesOtherKindsOfTokenizers) {
  const std::vector<std::pair<const char*, const char*>> parts = {
      {"/model/type", R"("Unigram")"},
      {"/model/dropout", "0.1"},
      {"/model/end_of_word_suffix", R"("</w>")"},
      {"/normalizer", R"({"type":"Precompiled"})"},
      {"/normalizer", R"({"type":"Replace","pattern":{"Regex":"x"},"content":""})"},
      {"/pre_tokenizer", R"({"type":"UnicodeScripts"})"},
      {"/pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"[a-z&&[^b]]"},"behavior":"Isolated"})"},
      {"/pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"x"},"behavior":"Sometimes"})"},
      {"/pre_tokenizer",
       R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"ByteLevel"}]})"},
      {"/post_processor", R"({"type":"Special"})"},
      {"/decoder", "null"},
      {"/decoder", R"({"type":"CTC"})"},
  };
  for (const auto& [pointer, value] : parts) {
    TokenizerFolder folder;
    folder.tokenizer[json::json_pointer(pointer)] = json::parse(value);
    SCOPED_TRACE(std::string(pointer) + " " + value);
    folder.expect(ErrorKind::unsupported, "not supported");
  }
}

TEST(TokenizerFiles, RefusesBrokenOnes) {
  const std::vector<std::tuple<const char*, const char*, ErrorKind, const char*>> cases = {
      {"/model/vocab/!", "16000000", ErrorKind::corrupt, "has the id 16000000"},
      {"/model/vocab/!", "-1", ErrorKind::corrupt, "has the id -1"},
      {"/model/vocab/!", "5", ErrorKind::corrupt, "two tokens have the id 5"},
      {"/model/vocab/!", "\"1\"", ErrorKind::corrupt, "has the id \"1\""},
      {"/model/vocab/!", "1.5", ErrorKind::corrupt, "has the id 1.5"},
      {"/model/vocab/!", "true", ErrorKind::corrupt, "has the id true"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}})",
       ErrorKind::corrupt, "not laid out as a tokenizer"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[-7]}}})",
       ErrorKind::corrupt, "has the id -7"},
      {"/model/vocab", "[]", ErrorKind::invalid, "merge 0"},
      {"/model/merges/0", R"(["zz","q"])", ErrorKind::invalid, "merge 0"},
      {"/model/merges/0", R"("alone")", ErrorKind::corrupt, "is not a merge"},
      {"/model/merges/0", R"([1,2])", ErrorKind::corrupt, "not laid out as a tokenizer"},
      {"/model/merges", "7", ErrorKind::corrupt, "is not a merge"},
      {"/model/unk_token", R"("<unk>")", ErrorKind::corrupt, "unknown token"},
      {"/added_tokens/0/id", "99999999", ErrorKind::corrupt, "has the id 99999999"},
      {"/added_tokens/0/content", "null", ErrorKind::corrupt, "not laid out as a tokenizer"},
      {"/model", "null", ErrorKind::unsupported, "model null"},
  };
  for (const auto& [pointer, value, kind, part] : cases) {
    TokenizerFolder folder;
    folder.tokenizer[json::json_pointer(pointer)] = json::parse(value);
    SCOPED_TRACE(std::string(pointer) + " " + value);
    folder.expect(kind, part);
  }
}

TEST(TokenizerFiles, NamesWhatIsMissing) {
  const Scratch scratch;
  expect_failure(ErrorKind::not_found, "tokenizer.json", [&] { load_tokenizer(scratch.path()); });
  expect_failure(ErrorKind::not_found, "no.gguf", [&] { load_tokenizer(scratch.path() / "no.gguf"); });
}

TEST(TokenizerFiles, RefusesUnknownGgufKeys) {
  std::ifstream file(text_fixture("smollm_small.gguf"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const auto change = [&](std::string_view from, std::string_view to, ErrorKind kind, std::string_view part) {
    const Scratch scratch;
    std::string changed = bytes;
    const size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos);
    changed.replace(at, from.size(), to);
    const auto path = scratch.write("changed.gguf", changed);
    expect_failure(kind, part, [&] { load_tokenizer(path); });
    expect_failure(kind, "changed.gguf", [&] { load_tokenizer(path); });
  };
  change("smollm", "qwen99", ErrorKind::unsupported, "known are default, gpt-2, smollm, llama-bpe");
  change("gpt2", "gpt9", ErrorKind::unsupported, "tokenizer.ggml.model 'gpt9' is not known");
  change("ggml.merges", "ggml.mergeX", ErrorKind::invalid, "tokenizer.ggml.merges is missing");
  change("ggml.tokens", "ggml.tokenX", ErrorKind::invalid, "tokenizer.ggml.tokens is missing");
}

}  // namespace
}  // namespace lowrank::test
