// A folder's tokenizer, written as GGUF keys and read again, tokenises as before.
#include <algorithm>

#include "formats/gguf_writer.h"
#include "support/text_fixtures.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/steps/normalizer.h"

namespace lowrank {
namespace {

struct Written {
  std::vector<std::string> notes;
  std::filesystem::path path;
};

Written written(const test::Scratch& scratch, const TokenizerSpec& spec, int64_t rows,
                const std::string& architecture) {
  GgufMetadata keys;
  keys.set_string("general.architecture", architecture);
  const bool from_vocabulary = architecture == "gemma3";
  Written result{write_tokenizer_keys(spec, rows, from_vocabulary, "here", keys), scratch.path() / "t.gguf"};
  write_gguf(result.path, {}, keys);
  return result;
}

int64_t token_count(const TokenizerSpec& spec) {
  auto count = std::ssize(spec.vocabulary);
  for (const AddedToken& token : spec.added) count = std::max(count, token.id + 1);
  return count;
}

struct Case {
  const char* folder;
  const char* architecture;
  const char* pre;
};

class TokenizerToGguf : public testing::TestWithParam<Case> {};

TEST_P(TokenizerToGguf, TokenisesAsBefore) {
  const test::Scratch scratch;
  const TokenizerSpec spec = tokenizer_spec_from_folder(test::text_fixture(GetParam().folder));
  const int64_t rows = token_count(spec) + 3;
  const GgufFile file = GgufFile::open(written(scratch, spec, rows, GetParam().architecture).path);
  EXPECT_EQ(file.get<std::string>("tokenizer.ggml.pre"), GetParam().pre);
  const auto texts = file.get<std::vector<std::string_view>>("tokenizer.ggml.tokens");
  ASSERT_EQ(std::ssize(texts), rows);
  EXPECT_EQ(texts.back(), "[PAD" + std::to_string(rows - 1) + "]");
  const Tokenizer before(spec, "folder"), after(tokenizer_spec_from_gguf(file), "file");
  EXPECT_EQ(after.spec().bos, before.spec().bos);
  EXPECT_EQ(after.spec().eos, before.spec().eos);
  EXPECT_EQ(after.spec().pad, before.spec().pad);
  EXPECT_EQ(after.spec().chat_template, before.spec().chat_template);
  // llama.cpp normalises nothing; Qwen's NFC is the only normaliser beside SentencePiece's spaces.
  const bool composes = !spec.normalizer.empty() && std::holds_alternative<TextForm>(spec.normalizer.front());
  const Normalizer normalizer(composes ? spec.normalizer : std::vector<NormalizerStep>(), "tokenizer");
  const bool prepends = !spec.normalizer.empty() && std::holds_alternative<Prepend>(spec.normalizer.front());
  const auto is_added = [&](int64_t id) {
    return std::ranges::find(spec.added, id, &AddedToken::id) != spec.added.end();
  };
  for (const std::string& text : test::torture()) {
    const std::vector<int64_t> ids = before.encode(text, true);
    // The old form puts a space also after added tokens and before spaces; GGUF files are not read so here.
    const bool differs = text.starts_with(' ') || text.starts_with("\u2581") ||
                         std::ranges::any_of(before.encode(text, false), is_added);
    if (prepends && differs) continue;
    EXPECT_EQ(after.encode(normalizer.apply(text, false), true), ids) << text;
    EXPECT_EQ(after.decode(ids, false), before.decode(ids, false)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Folders, TokenizerToGguf,
    testing::Values(Case{"gpt2_small", "gpt2", "gpt-2"}, Case{"smollm_small", "llama", "smollm"},
                    Case{"llama3_small", "llama", "llama-bpe"}, Case{"qwen2_small", "qwen2", "qwen2"},
                    Case{"llama2_small", "llama", "default"}, Case{"llama2_legacy_small", "llama", "default"},
                    Case{"gemma_small", "gemma3", "default"}),
    [](const auto& info) { return std::string(info.param.folder); });

TEST(TokenizerToGgufFiles, SayWhatTheyCannotHold) {
  const test::Scratch scratch;
  const auto refused = [&](const TokenizerSpec& spec, const char* part) {
    GgufMetadata keys;
    test::expect_failure(ErrorKind::unsupported, part,
                         [&] { write_tokenizer_keys(spec, token_count(spec), false, "here", keys); });
  };
  refused(tokenizer_spec_from_folder(test::text_fixture("bert_small")), "WordPiece");
  TokenizerSpec spec = tokenizer_spec_from_folder(test::text_fixture("gpt2_small"));
  TokenizerSpec other = spec;
  other.pre_tokenizer.insert(other.pre_tokenizer.begin(), Split{"x+"});
  refused(other, "its tokenizer's splits");
  other = spec;
  other.normalizer.emplace_back(TextForm::lowercase);
  refused(other, "normaliser");
  other = spec;
  other.prefix = {3, 4};
  refused(other, "around texts");
  other = spec;
  other.vocabulary.resize(other.vocabulary.size() + 2, "more");
  EXPECT_EQ(written(scratch, other, token_count(spec), "gpt2").notes.size(), 1U);
}

}  // namespace
}  // namespace lowrank
