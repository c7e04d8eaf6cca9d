// Unigram tokenizers: long texts against a plain search, SentencePiece's charsmap, pairs, and files that must
// be refused.
#include "tokenizer/models/unigram.h"

#include <cstring>
#include <limits>
#include <map>
#include <random>

#include "support/text_fixtures.h"
#include "tokenizer/files/base64.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/steps/normalizer.h"
#include "tokenizer/steps/precompiled.h"

namespace lowrank::test {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

TokenizerSpec unigram_spec(const std::vector<std::pair<std::string, double>>& pieces) {
  TokenizerSpec spec;
  spec.model = TokenModel::unigram;
  for (const auto& [piece, score] : pieces) {
    spec.vocabulary.push_back(piece);
    spec.log_probabilities.push_back(score);
  }
  spec.unknown = 0;
  return spec;
}

/// The best division by the recurrence, over the whole text at once.
Ids plain_search(const TokenizerSpec& spec, const std::string& text) {
  struct End {
    double score = -std::numeric_limits<double>::infinity();
    size_t begin = 0;
    int64_t id = 0;
  };
  std::map<std::string, int64_t> ids;
  double least = 0;
  for (size_t id = 0; id < spec.vocabulary.size(); ++id) {
    ids[spec.vocabulary[id]] = static_cast<int64_t>(id);
    least = std::min(least, spec.log_probabilities[id]);
  }
  std::vector<End> ends(text.size() + 1);
  ends[0].score = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    bool known = false;
    for (size_t length = 1; length <= 6 && at + length <= text.size(); ++length) {
      const auto found = ids.find(text.substr(at, length));
      if (found == ids.end()) continue;
      known |= length == 1;
      const double score = ends[at].score + spec.log_probabilities[found->second];
      if (score > ends[at + length].score) ends[at + length] = {score, at, found->second};
    }
    const double score = ends[at].score + (least - 10);
    if (!known && score > ends[at + 1].score) ends[at + 1] = {score, at, 0};
  }
  Ids tokens;
  for (size_t at = text.size(); at > 0; at = ends[at].begin) {
    const int64_t id = ends[at].id;
    if (id != 0 || tokens.empty() || tokens.back() != 0) tokens.push_back(id);
  }
  return {tokens.rbegin(), tokens.rend()};
}

TEST(Unigram, LongPiecesEqualThePlainSearch) {
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) { return random() % n; };
  for (int round = 0; round < 2; ++round) {
    std::vector<std::pair<std::string, double>> pieces{{"<unk>", 0}, {"a", -3}, {"b", -3.5}};
    for (int i = 0; i < 20; ++i) {
      std::string piece;
      for (uint32_t length = 2 + below(5); length > 0; --length) piece += static_cast<char>('a' + below(3));
      pieces.emplace_back(piece, -2 - 0.01 * below(1000));
    }
    const TokenizerSpec spec = unigram_spec(pieces);
    std::string text;
    for (int i = 0; i < 150'000; ++i) text += static_cast<char>('a' + below(i % 50 == 0 ? 4 : 3));
    TokenSink sink;
    Unigram(spec, "spec").encode(text, sink);
    EXPECT_EQ(sink.ids, plain_search(spec, text));
  }
}

TEST(Unigram, DivisionsThatNeverMeetAreKeptUntilTheEnd) {
  const TokenizerSpec spec = unigram_spec({{"<unk>", 0}, {"aa", -1}});
  for (const size_t length : {140'000, 140'001}) {
    const std::string text(length, 'a');
    TokenSink sink;
    Unigram(spec, "spec").encode(text, sink);
    EXPECT_EQ(sink.ids, plain_search(spec, text));
  }
}

TEST(Unigram, UnknownTextIsOneTokenOrBytes) {
  TokenizerSpec spec = unigram_spec({{"<unk>", 0}, {"a", -1}, {"<0xC3>", -1}, {"<0xA9>", -1}, {"xy", -50}});
  const auto ids = [&](const std::string& text) {
    TokenSink sink;
    Unigram(spec, "spec").encode(text, sink);
    return sink.ids;
  };
  EXPECT_EQ(ids("a\u00e9\u00e9a"), (Ids{1, 0, 1}));
  EXPECT_EQ(ids("xya"), (Ids{4, 1}));
  spec.byte_fallback = true;
  EXPECT_EQ(ids("a\u00e9\u00e9a"), (Ids{1, 2, 3, 2, 3, 1}));
  EXPECT_EQ(ids("a\u00e9z"), (Ids{1, 0}));
  spec.unknown.reset();
  expect_failure(ErrorKind::invalid, "no unknown token", [&] { ids("az"); });
}

/// A charsmap of these replacements, each state of its trie in a block of its own.
std::string charsmap_of(const std::map<std::string, std::string>& replacements) {
  std::vector<std::map<uint8_t, size_t>> states(1);
  std::map<size_t, size_t> values;  // by state, where its replacement begins
  std::string texts;
  for (const auto& [key, text] : replacements) {
    size_t state = 0;
    for (const char c : key) {
      const auto [place, is_new] = states[state].try_emplace(static_cast<uint8_t>(c), states.size());
      state = place->second;
      if (is_new) states.emplace_back();
    }
    values[state] = texts.size();
    texts += text + '\0';
  }
  const auto base = [](size_t state) { return 256 * (state + 1); };
  std::vector<uint32_t> units(base(states.size()));
  const auto fill = [&](size_t at, size_t state, uint32_t label) {
    units[at] =
        static_cast<uint32_t>((at ^ base(state)) << 10) | label | (values.contains(state) ? 1 << 8 : 0);
    if (values.contains(state)) units[base(state)] = static_cast<uint32_t>(values[state]) | 1U << 31;
  };
  fill(0, 0, 0);
  for (size_t state = 0; state < states.size(); ++state) {
    for (const auto& [byte, next] : states[state]) fill(base(state) ^ byte, next, byte);
  }
  const auto size = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  return std::string(reinterpret_cast<const char*>(&size), 4) +
         std::string(reinterpret_cast<const char*>(units.data()), size) + texts;
}

TEST(Charsmap, ReplacesGraphemesAsTheReferenceDoes) {
  const Charsmap map(charsmap_of({{"A\u030A", "\u00C5"},
                                  {"\uFB03", "ffi"},
                                  {"\u30AB\u3099", "ga"},
                                  {"x", ""},
                                  {"\r", " "},
                                  {"ab", "never"}}),
                     "map");
  EXPECT_EQ(precompiled("A\u030A", map), "\u00C5");
  EXPECT_EQ(precompiled("A\u030A\u0301b", map), "\u00C5b");  // the accent is lost
  EXPECT_EQ(precompiled("\uFB03\u0301", map), "ffi");
  EXPECT_EQ(precompiled("\u30AB\u3099", map), "\u30AB\u3099");  // 6 bytes
  EXPECT_EQ(precompiled("axbab\r\n\r", map), "abab  ");
  EXPECT_EQ(precompiled("", map), "");
}

TEST(Charsmap, BrokenOnesAreRefusedOrSafe) {
  const std::string whole = charsmap_of({{"A\u030A", "\u00C5"}, {"\uFB03", "ffi"}, {"b", "c"}});
  const auto refuses = [](const std::string& bytes, std::string_view part) {
    expect_failure(ErrorKind::corrupt, part, [&] { Charsmap(bytes, "file"); });
  };
  refuses("", "has 0 bytes");
  refuses(whole.substr(0, 100), "file: the character map's trie has");
  refuses(whole + "\xFF", "are not UTF-8 at byte " + std::to_string(whole.size()));
  refuses(whole.substr(0, whole.size() - 9) + std::string(5000, 'x'), "a replacement of 50");
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    for (int changes = 0; changes < 3; ++changes) {
      const size_t unit =
          i % 2 == 0 ? random() % bytes.size() : 4 + 4 * (256 * (1 + random() % 6) + random() % 256);
      if (unit < bytes.size()) bytes[unit] = static_cast<char>(random());
    }
    uint32_t root = 0;
    std::memcpy(&root, whole.data() + 4, 4);
    root ^= static_cast<uint32_t>(random() % 4) << (10 + random() % 20);
    if (i % 3 == 0) std::memcpy(bytes.data() + 4, &root, 4);
    try {
      const Charsmap map(bytes, "file");
      for (int text = 0; text < 50; ++text) {
        std::string key;
        for (int length = 0; length < 5; ++length) key += static_cast<char>(random());
        (void)map.find(key);
        (void)map.find("A\u030A");
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt);
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
}

TEST(Base64, BothWays) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  for (const char* wrong : {"Zg=", "Zg", "Z===", "Zm9v YmFy", "====", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(wrong).has_value()) << wrong;
  }
}

TEST(Normaliser, ReplacesByRegularExpressions) {
  const Normalizer normalizer({Replace{" {2,}", "_", true}, Replace{"b", "$0", true}}, "file");
  EXPECT_EQ(normalizer.apply("a  b c   d  ", false), "a_$0 c_d_");
  EXPECT_EQ(normalizer.apply("", false), "");
  expect_failure(ErrorKind::invalid, "does not compile", [] {
    Normalizer({Replace{"(", "", true}}, "file");
  });
}

TEST(Tokenizer, OnlyTheFirstWordOfAContinuationGetsNoSpace) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture("xlmr_small"));
  const Ids words = tokenizer.encode("old mill", false);
  const Ids more = tokenizer.encode_continuation(" old mill");
  EXPECT_EQ(more, words);
  const Ids joined = tokenizer.encode_continuation("old mill");
  EXPECT_NE(joined, words);
  EXPECT_EQ(tokenizer.decode(joined, true), "old mill");
}

class PairedTexts : public testing::TestWithParam<const char*> {};

TEST_P(PairedTexts, EqualTheReferences) {
  const Tokenizer tokenizer = load_tokenizer(text_fixture(GetParam()));
  const std::vector<std::string> texts = torture();
  for (const json& row : json_of(text_fixture(GetParam()) / "pairs.json")) {
    for (const auto& [key, most] : {std::pair("whole", 10'000), std::pair("cut", 15)}) {
      const Tokenizer::Pair pair = tokenizer.encode_pair(texts[row["first"]], texts[row["second"]], most);
      EXPECT_EQ(pair.ids, row[key]["ids"].get<Ids>()) << row["first"] << " " << row["second"];
      const auto types = row[key]["types"].get<Ids>();
      EXPECT_EQ(pair.type_one, std::ranges::count(types, 1));
      EXPECT_EQ(pair.length, std::ssize(row["whole"]["ids"]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, PairedTexts, testing::Values("xlmr_small", "t5_small"),
                         [](const auto& info) { return std::string(info.param); });

TEST(PairedTextsOf, BertAndRoberta) {
  for (const bool roberta : {false, true}) {
    const Scratch scratch;
    json file = json_of(text_fixture("bert_small") / "tokenizer.json");
    file["post_processor"] = {{"type", roberta ? "RobertaProcessing" : "BertProcessing"},
                              {"cls", {"[CLS]", 2}},
                              {"sep", {"[SEP]", 3}}};
    scratch.write("tokenizer.json", file.dump());
    const Tokenizer tokenizer = load_tokenizer(scratch.path());
    const Ids a = tokenizer.encode("a", false), b = tokenizer.encode("b", false);
    ASSERT_EQ(a.size() + b.size(), 2U);
    const Tokenizer::Pair pair = tokenizer.encode_pair("a", "b", 100);
    EXPECT_EQ(pair.ids, roberta ? (Ids{2, a[0], 3, 3, b[0], 3}) : (Ids{2, a[0], 3, b[0], 3}));
    EXPECT_EQ(pair.type_one, roberta ? 0 : 2);
  }
}

TEST(UnigramFiles, AreWrittenAsTheyWereRead) {
  for (const char* name : {"xlmr_small", "t5_small"}) {
    const Tokenizer tokenizer = load_tokenizer(text_fixture(name));
    const Scratch scratch;
    scratch.write("tokenizer.json", tokenizer_json(tokenizer.spec()).dump());
    const Tokenizer again = load_tokenizer(scratch.path());
    const std::vector<std::string> texts = torture();
    for (const std::string& text : texts) EXPECT_EQ(again.encode(text, true), tokenizer.encode(text, true));
    EXPECT_EQ(again.encode_pair(texts[12], texts[13], 99).ids,
              tokenizer.encode_pair(texts[12], texts[13], 99).ids);
  }
}

TEST(UnigramFiles, BrokenOnesAreRefused) {
  const std::vector<std::tuple<const char*, const char*, ErrorKind, const char*>> cases = {
      {"/model/unk_id", "700000", ErrorKind::corrupt, "unk_id 700000"},
      {"/model/unk_id", "-1", ErrorKind::corrupt, "unk_id -1"},
      {"/model/unk_id", "\"a\"", ErrorKind::corrupt, "unk_id"},
      {"/model/vocab", "[]", ErrorKind::corrupt, "the vocabulary is empty"},
      {"/model/vocab/5", "[\"a\"]", ErrorKind::corrupt, "is not a token of up to"},
      {"/model/vocab/5", "[\"a\",\"b\"]", ErrorKind::corrupt, "is not a token of up to"},
      {"/model/vocab", "{\"a\":1}", ErrorKind::corrupt, "is not a token of up to"},
      {"/normalizer/precompiled_charsmap", "\"AAAA\"", ErrorKind::corrupt, "the character map has 3 bytes"},
      {"/normalizer/precompiled_charsmap", "\"?\"", ErrorKind::corrupt, "no text in base64"},
      {"/normalizer/precompiled_charsmap", "null", ErrorKind::corrupt, "no text in base64"},
      {"/post_processor/special_tokens/<s>/ids", "[5000]", ErrorKind::corrupt, "5000"},
  };
  const json whole = json_of(text_fixture("xlmr_small") / "tokenizer.json");
  for (const auto& [pointer, value, kind, part] : cases) {
    const Scratch scratch;
    json changed = whole;
    changed[json::json_pointer(pointer)] = json::parse(value);
    scratch.write("tokenizer.json", changed.dump());
    SCOPED_TRACE(pointer);
    expect_failure(kind, part, [&] { load_tokenizer(scratch.path()); });
  }
}

TEST(XlmRoberta, TokenizerGivesTheReferencesIdsAndTexts) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "no reference checkpoints beside the source tree (LOWRANK_SHARED)";
  const std::filesystem::path folder = *shared / "golden/families/xlm_roberta";
  const Tokenizer tokenizer = load_tokenizer(folder);
  const json rows = json_of(folder / "tokenizer_expected.json")["rows"];
  EXPECT_EQ(rows.size(), 50U);
  for (const json& row : rows) {
    const Ids ids = tokenizer.encode(row["text"].get<std::string>(), true);
    EXPECT_EQ(ids, row["ids"].get<Ids>()) << row["text"];
    EXPECT_EQ(tokenizer.decode(ids, true), row["decoded"].get<std::string>()) << row["text"];
  }
}

}  // namespace
}  // namespace lowrank::test
