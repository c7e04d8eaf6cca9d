// Files next to tokenizer.json, and files that must be refused.
#include "support/text_fixtures.h"
#include "tokenizer/files/tokenizer_json.h"

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
      {"/model/type", R"("WordLevel")"},
      {"/model/dropout", "0.1"},
      {"/model/end_of_word_suffix", R"("</w>")"},
      {"/normalizer", R"({"type":"Nmt"})"},
      {"/normalizer", R"({"type":"Replace","pattern":{"Glob":"x"},"content":""})"},
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

/// A GGUF fixture with some bytes replaced by the same number of others.
class ChangedGguf {
 public:
  explicit ChangedGguf(const std::string& name) {
    std::ifstream file(text_fixture(name), std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }
  void replace(std::string_view from, std::string_view to) {
    ASSERT_EQ(from.size(), to.size());
    const size_t at = bytes_.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bytes_.replace(at, from.size(), to);
  }
  /// Sets the id of a special token.
  void set_id(const std::string& key, uint32_t id) {
    const size_t at = bytes_.find(key);
    ASSERT_NE(at, std::string::npos) << key;
    bytes_.replace(at + key.size() + 4, 4, std::string(reinterpret_cast<const char*>(&id), 4));
  }
  TokenizerSpec spec() const { return load_tokenizer(scratch_.write("changed.gguf", bytes_)).spec(); }

 private:
  Scratch scratch_;
  std::string bytes_;
};

TEST(TokenizerFiles, GgufFilesThatDoNotSayItGetLlamaCppsDefaults) {
  EXPECT_EQ(ChangedGguf("llama3_small.gguf").spec().prefix, Ids{0});
  ChangedGguf falcon("llama3_small.gguf");
  falcon.replace("llama-bpe", "falcon-h1");
  EXPECT_EQ(falcon.spec().prefix, Ids{0});
  EXPECT_EQ(ChangedGguf("qwen2_small.gguf").spec().prefix, Ids{});
  EXPECT_EQ(ChangedGguf("smollm_small.gguf").spec().prefix, Ids{});
  ChangedGguf llama("llama2_small.gguf");
  llama.replace("ggml.bos_token_id", "ggml.bos_token_iX");
  llama.replace("ggml.eos_token_id", "ggml.eos_token_iX");
  llama.replace("ggml.unknown_token_id", "ggml.unknown_token_iX");
  EXPECT_EQ(llama.spec().prefix, Ids{1});
  EXPECT_EQ(llama.spec().eos, 2);
  EXPECT_EQ(llama.spec().unknown, 0);
}

TEST(TokenizerFiles, SpecialTokensOutsideTheVocabularyAreLeftOut) {
  for (const uint32_t id : {4294967295U, 1000U, 70000U}) {
    ChangedGguf file("smollm_small.gguf");
    file.set_id("tokenizer.ggml.padding_token_id", id);
    file.set_id("tokenizer.ggml.eot_token_id", id);
    const TokenizerSpec spec = file.spec();
    EXPECT_FALSE(spec.pad.has_value());
    EXPECT_EQ(spec.end_tokens, Ids{2});
    ASSERT_EQ(spec.notes.size(), 2U);
    EXPECT_NE(spec.notes[0].find(fmt::format("padding_token_id {} is outside", id)), std::string::npos);
  }
}

TEST(TokenizerFiles, IdsThatAreNoTokensAreNotKept) {
  TokenizerFolder folder;
  folder.add("tokenizer_config.json", R"({"eos_token":"<|endoftext|>"})");
  folder.add("generation_config.json", R"({"eos_token_id":[5,100000]})");
  const TokenizerSpec spec = folder.load().spec();
  EXPECT_EQ(spec.end_tokens, (Ids{5, 0}));
  EXPECT_EQ(spec.notes.size(), 1U);
  EXPECT_EQ(tokenizer_config_json(spec)["eos_token"], "<|endoftext|>");
  folder.tokenizer["post_processor"] = json::parse(
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[1500]}}})");
  folder.expect(ErrorKind::corrupt, "puts 1500 around texts");
}

TEST(TokenizerFiles, AddedTokensGetTheReferencesIds) {
  TokenizerFolder folder;
  const auto add = [&](const char* content, int64_t id) {
    folder.tokenizer["added_tokens"].push_back({{"content", content}, {"id", id}, {"normalized", false}});
  };
  add("<b>", 1001);
  add("<a>", 1000);
  add("!", 1002);
  add("<b>", 1003);
  EXPECT_EQ(folder.load().encode("<a><b>!", false), (Ids{1001, 1000, 1}));
}

TEST(TokenizerFiles, ManySpecialTokensTakeNoQuadraticTime) {
  TokenizerFolder folder;
  json names = json::array();
  for (int i = 0; i < 50'000; ++i) names.push_back(fmt::format("<{}", i));
  folder.add("tokenizer_config.json", json{{"additional_special_tokens", names}}.dump());
  const Tokenizer tokenizer = folder.load();
  EXPECT_EQ(tokenizer.encode("<49999", false), Ids{1000 + 49'999});
  EXPECT_EQ(tokenizer.encode(std::string(20'000, '<'), false).front(), tokenizer.encode("<<", false).front());
}

TEST(TokenizerFiles, AHardPatternEndsInBoundedTime) {
  TokenizerFolder folder;
  folder.tokenizer["pre_tokenizer"] = json::parse(
      R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(a|a)+[bc]"},"behavior":"Isolated"},
          {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})");
  const Tokenizer tokenizer = folder.load();
  EXPECT_NO_THROW(tokenizer.encode("aaab aaaa", false));
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::string(24, 'a') + " ";
  expect_failure(ErrorKind::invalid, "takes too long on the text at byte",
                 [&] { tokenizer.encode(text, false); });
}

TEST(TokenizerFiles, OrdinaryPatternsMaySeeLongRuns) {
  for (const char* name : {"llama3_small", "qwen2_small", "gpt2_small", "smollm_small"}) {
    const Tokenizer tokenizer = load_tokenizer(text_fixture(name));
    for (const char c : {' ', 'A', '1', '\n', '!'}) {
      const std::string text(200'000, c);
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false), false), text) << name << c;
    }
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
  change("smollm", "qwen99", ErrorKind::unsupported, "known are gpt-2, default, ");
  change("gpt2", "gpt9", ErrorKind::unsupported, "tokenizer.ggml.model 'gpt9' is not known");
  change("ggml.merges", "ggml.mergeX", ErrorKind::invalid, "tokenizer.ggml.merges is missing");
  change("ggml.tokens", "ggml.tokenX", ErrorKind::invalid, "tokenizer.ggml.tokens is missing");
}

}  // namespace
}  // namespace lowrank::test
