// How metrics divide texts into words, against sacrebleu's tokenizers.
#include "metric_fixture.h"
#include "metrics/caption_words.h"
#include "metrics/ter_words.h"
#include "metrics/tokenise.h"

namespace lowrank::metrics {
namespace {

std::vector<std::string> list_of(const Words& words) {
  std::vector<std::string> list;
  for (size_t i = 0; i < words.size(); ++i) list.emplace_back(words[i]);
  return list;
}

TEST(MetricWords, AreThoseOfSacrebleu) {
  const nlohmann::json cases = test::metric_fixture("tokens.json");
  ASSERT_GT(cases.size(), 100u);
  for (const nlohmann::json& item : cases) {
    const auto text = item.at("text").get<std::string>();
    const auto expected = [&](std::string_view name) {
      return item.at(std::string(name)).get<std::vector<std::string>>();
    };
    for (const WordRule rule : {WordRule::v13a, WordRule::intl, WordRule::characters, WordRule::none}) {
      EXPECT_EQ(list_of(tokenise(text, rule)), expected(name_of(rule))) << name_of(rule) << ": " << text;
    }
    TerWordOptions options;
    options.normalised = true;
    EXPECT_EQ(list_of(ter_words(text, options)), expected("tercom")) << text;
    options.asian = options.case_sensitive = true;
    EXPECT_EQ(list_of(ter_words(text, options)), expected("tercom asian")) << text;
    options = {};
    options.asian = options.no_punctuation = true;
    EXPECT_EQ(list_of(ter_words(text, options)), expected("tercom without punctuation")) << text;
  }
}

TEST(MetricWords, OfCaptionsAreThoseOfThePtbTokenizer) {
  const nlohmann::json cases = test::metric_fixture("captions.json");
  ASSERT_GT(cases.size(), 100u);
  for (const nlohmann::json& item : cases) {
    const auto text = item.at("text").get<std::string>();
    EXPECT_EQ(caption_words(text).text(), item.at("words").get<std::string>()) << text;
  }
}

TEST(MetricWords, RunsLieBetweenSingleSpaces) {
  const Words words = Words::of(" a\t\n bc  d ");
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words.text(), "a bc d");
  EXPECT_EQ(words.run(0, 2), "a bc");
  EXPECT_EQ(words.run(1, 2), "bc d");
  EXPECT_EQ(list_of(Words::at_each_space(" a  b")), (std::vector<std::string>{"", "a", "", "b"}));
  EXPECT_EQ(list_of(Words::at_each_space("")), std::vector<std::string>{""});
  EXPECT_TRUE(Words::of("").empty());
}

TEST(MetricWords, BytesThatAreNotTextEndNothing) {
  for (const WordRule rule : {WordRule::v13a, WordRule::intl, WordRule::characters, WordRule::none}) {
    EXPECT_GE(tokenise("a\xff\xc3 b\xe2\x82", rule).size(), 2u) << name_of(rule);
  }
}

}  // namespace
}  // namespace lowrank::metrics
