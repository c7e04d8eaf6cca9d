// Ids and text against those of transformers (tests/fixtures/make_text.py).
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <thread>

#include "support/expect_error.h"
#include "support/text_fixtures.h"
#include "tokenizer/files/tokenizer_json.h"

namespace lowrank::test {
namespace {

using Ids = std::vector<int64_t>;

class SmallTokenizer : public testing::TestWithParam<const char*> {
 protected:
  const std::filesystem::path folder_ = text_fixture(GetParam());
  const Tokenizer tokenizer_ = load_tokenizer(folder_);
  const nlohmann::json expected_ = json_of(folder_ / "expected.json");
  const std::vector<std::string> texts_ = torture();
};

TEST_P(SmallTokenizer, GivesTheReferencesIds) {
  ASSERT_EQ(texts_.size(), expected_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(tokenizer_.encode(texts_[i], true), expected_[i]["ids"].get<Ids>()) << texts_[i];
    EXPECT_EQ(tokenizer_.encode(texts_[i], false), expected_[i]["plain"].get<Ids>()) << texts_[i];
  }
}

TEST_P(SmallTokenizer, GivesTheReferencesText) {
  for (const auto& row : expected_) {
    const auto ids = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer_.decode(ids, false), row["decoded"].get<std::string>());
    EXPECT_EQ(tokenizer_.decode(ids, true), row["skipped"].get<std::string>());
  }
}

TEST_P(SmallTokenizer, StreamsCompleteCharacters) {
  for (const auto& row : expected_) {
    StreamDecoder stream(tokenizer_);
    const auto expected = row["skipped"].get<std::string>();
    // A stream continues existing text, so that it keeps the leading space.
    const auto& decoder = tokenizer_.spec().decoder;
    const bool keeps_space = decoder.strip_left > 0 || decoder.word_piece;
    const auto compared = [&](const std::string& text) {
      return keeps_space && text.starts_with(' ') ? text.substr(1) : text;
    };
    std::string text;
    for (const int64_t id : row["ids"].get<Ids>()) {
      text += stream.next(id);
      // A replacement character stands for bytes that no later token could have completed.
      EXPECT_TRUE(expected.starts_with(compared(text))) << text;
    }
    EXPECT_EQ(compared(text + stream.finish()), expected);
  }
}

TEST(TokenizerJson, RefusesTextsThatAreNotUtf8) {
  TokenizerSpec token, template_text;
  token.vocabulary = {"a", "b\xFF"};
  template_text.chat_template = "\xC3";
  expect_error(ErrorKind::unsupported, "token 1", "is not UTF-8", [&] { (void)tokenizer_json(token); });
  expect_error(ErrorKind::unsupported, "template", "is not UTF-8",
               [&] { (void)tokenizer_config_json(template_text); });
}

TEST_P(SmallTokenizer, IsWrittenAsItWasRead) {
  const Scratch scratch;
  scratch.write("tokenizer.json", tokenizer_json(tokenizer_.spec()).dump());
  scratch.write("tokenizer_config.json", tokenizer_config_json(tokenizer_.spec()).dump());
  const Tokenizer copy = load_tokenizer(scratch.path());
  for (size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(copy.encode(texts_[i], true), expected_[i]["ids"].get<Ids>()) << texts_[i];
  }
  EXPECT_EQ(copy.spec().bos, tokenizer_.spec().bos);
  EXPECT_EQ(copy.spec().eos, tokenizer_.spec().eos);
  EXPECT_EQ(copy.spec().pad, tokenizer_.spec().pad);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, SmallTokenizer,
                         testing::Values("gpt2_small", "smollm_small", "options_small", "llama3_small",
                                         "qwen2_small", "llama2_small", "llama2_legacy_small", "gemma_small",
                                         "bert_small", "xlmr_small", "t5_small"),
                         [](const auto& name) { return std::string(name.param); });

/// A GGUF file whose tokenizer does what a tokenizer.json does.
class SameTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(SameTokenizer, FromGguf) {
  const Tokenizer gguf = load_tokenizer(text_fixture(std::string(GetParam()) + ".gguf"));
  const auto expected = json_of(text_fixture(GetParam()) / "expected.json");
  const auto texts = torture();
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(gguf.encode(texts[i], false), expected[i]["plain"].get<Ids>()) << texts[i];
    EXPECT_EQ(gguf.decode(expected[i]["plain"].get<Ids>(), true), expected[i]["skipped"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, SameTokenizer,
                         testing::Values("smollm_small", "llama3_small", "bert_small"),
                         [](const auto& name) { return std::string(name.param); });

/// GGUF files that leave out what tokenizer.json says: the ids are those that transformers gives for the
/// file.
class GgufTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(GgufTokenizer, GivesTheReferencesIds) {
  const std::string file = std::string(GetParam()) + ".gguf";
  const Tokenizer tokenizer = load_tokenizer(text_fixture(file));
  const auto expected = json_of(text_fixture(file + ".json"));
  const Scratch scratch;
  scratch.write("tokenizer.json", tokenizer_json(tokenizer.spec()).dump());
  const Tokenizer written = load_tokenizer(scratch.path());
  const auto texts = torture();
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(texts[i], false), expected[i]["plain"].get<Ids>()) << texts[i];
    EXPECT_EQ(written.encode(texts[i], false), expected[i]["plain"].get<Ids>()) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, GgufTokenizer,
                         testing::Values("qwen2_small", "llama2_small", "gemma_small"),
                         [](const auto& name) { return std::string(name.param); });

TEST(Tokenizer, ContinuationsGetNoSpaceInFront) {
  for (const char* name : {"llama2_small", "llama2_legacy_small"}) {
    const Tokenizer tokenizer = load_tokenizer(text_fixture(name));
    Ids ids = tokenizer.encode("The pub", false);
    const Ids more = tokenizer.encode_continuation("lic house");
    ids.insert(ids.end(), more.begin(), more.end());
    EXPECT_EQ(tokenizer.decode(ids, true), "The public house") << name;
  }
}

/// A fixture with tokens added as transformers' add_tokens does; the ids are those that tokenizers 0.23.3
/// gives.
Tokenizer with_added(const char* name, const nlohmann::json& tokens) {
  const Scratch scratch;
  nlohmann::json file = json_of(text_fixture(name) / "tokenizer.json");
  int64_t next = file["model"]["vocab"].size();
  for (nlohmann::json token : tokens) {
    token["id"] = next++;
    file["added_tokens"].push_back(token);
  }
  scratch.write("tokenizer.json", file.dump());
  return load_tokenizer(scratch.path());
}

TEST(Tokenizer, AddedTokensAreLookedForAsTheNormaliserWritesThem) {
  const Tokenizer tokenizer =
      with_added("llama2_legacy_small", {{{"content", "<tool>"}, {"normalized", true}}});
  EXPECT_EQ(tokenizer.encode("call <tool> now", false), (Ids{655, 1300, 558, 342}));
  EXPECT_EQ(tokenizer.encode("<tool>", false), Ids{1300});
  EXPECT_EQ(tokenizer.encode_continuation("<tool>"), Ids{1300});
  const Ids inside = tokenizer.encode("call<tool>now", false);
  EXPECT_EQ(std::ranges::count(inside, 1300), 0);
}

TEST(Tokenizer, WhiteSpaceOfAnAddedTokenMayBelongToTheNextOne) {
  const Tokenizer tokenizer =
      with_added("gpt2_small", {{{"content", "<b>"}, {"rstrip", true}, {"normalized", false}},
                                {{"content", " <sp>"}, {"normalized", false}},
                                {{"content", "\t\t"}, {"normalized", false}}});
  EXPECT_EQ(tokenizer.encode("<b> <sp>", false), (Ids{1000, 1001}));
  EXPECT_EQ(tokenizer.encode("<b>\t\t.", false), (Ids{1000, 1002, 14}));
  EXPECT_EQ(tokenizer.encode("<b>   .", false), (Ids{1000, 14}));
}

/// Words of many kilobytes are encoded in blocks. Without byte fallback they are not, and where every
/// character has a token it makes no other difference.
TEST(Tokenizer, LongWordsHaveTheSameIdsInBlocks) {
  uint32_t state = 1;
  const auto draw = [&](uint32_t below) { return (state = state * 1664525 + 1013904223) / 65536 % below; };
  std::string runs;
  while (runs.size() < 300'000) runs += std::string(1 + draw(2000), "theaso"[draw(6)]);
  std::string letters;
  while (letters.size() < 300'000) letters += "etaoinshrdlu"[draw(12)];
  TokenizerSpec spec = load_tokenizer(text_fixture("llama2_small")).spec();
  const Bpe blocks(spec, "blocks");
  spec.byte_fallback = false;
  spec.unknown.reset();
  const Bpe whole(spec, "whole");
  for (const std::string& text : {runs, letters, std::string(300'000, 'a'), std::string(300'001, 'e')}) {
    TokenSink found;
    TokenSink expected;
    blocks.encode(text, found);
    whole.encode(text, expected);
    EXPECT_EQ(found.ids == expected.ids, true) << found.count() << " " << expected.count();
  }
}

TEST(Tokenizer, SpecialTokensComeFromGguf) {
  const Tokenizer gguf = load_tokenizer(text_fixture("smollm_small.gguf"));
  EXPECT_EQ(gguf.spec().bos, 1);
  EXPECT_EQ(gguf.spec().eos, 2);
  EXPECT_EQ(gguf.spec().end_tokens, (Ids{2, 0}));
  EXPECT_TRUE(gguf.ends_generation(0));
  EXPECT_FALSE(gguf.ends_generation(1));
}

TEST(Tokenizer, RefusesMalformedText) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  for (const std::string text : {"ab\xFF", "ab\xC3", "ab\xED\xA0\x80", "ab\xC0\x80", "ab\xF4\x90\x80\x80"}) {
    expect_failure(ErrorKind::invalid, "not UTF-8 at byte 2", [&] { tokenizer.encode(text, false); });
  }
}

TEST(Tokenizer, DecodesUnknownIdsToNothing) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  EXPECT_EQ(tokenizer.decode(Ids{-1, 1 << 20}, false), "");
  EXPECT_EQ(tokenizer.decode(Ids{0}, false), "<|endoftext|>");
  EXPECT_EQ(tokenizer.decode(Ids{0}, true), "");
}

TEST(Tokenizer, AWordOfAMillionLettersTakesNoQuadraticTime) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("gpt2_small"));
  std::string word;
  for (uint32_t i = 0; i < 1'000'000; ++i) word += static_cast<char>('a' + i * i % 26);
  const Ids ids = tokenizer.encode(word, false);
  EXPECT_LT(ids.size(), word.size());
  EXPECT_EQ(tokenizer.decode(ids, false), word);
}

TEST(Tokenizer, EncodesInSeveralThreads) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("smollm_small"));
  const auto texts = torture();
  const auto encode_all = [&] {
    std::vector<Ids> all(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) all[i] = tokenizer.encode(texts[i], true);
    return all;
  };
  std::vector<Ids> first;
  std::vector<Ids> second;
  std::thread thread([&] { first = encode_all(); });
  second = encode_all();
  thread.join();
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace lowrank::test
