// BLEU, chrF and TER: scores and printed lines of sacrebleu, of corpora and of single texts.
#include "metric_fixture.h"
#include "metrics/bleu.h"
#include "metrics/chrf.h"
#include "metrics/ter.h"

namespace lowrank::metrics {
namespace {

constexpr double sacrebleu_bound = 1e-11;

/// The score of each text alone against the case's, where it has those.
template <typename Score>
void expect_sentences(const nlohmann::json& item, const test::Corpus& corpus, Score score) {
  if (!item.contains("sentences")) return;
  for (size_t i = 0; i < corpus.predictions.size(); ++i) {
    const std::span predictions(&corpus.predictions[i], 1);
    const std::span references(&corpus.references[i], 1);
    EXPECT_NEAR(score(predictions, references), item.at("sentences").at(i).get<double>(), sacrebleu_bound)
        << "text " << i << ": " << corpus.predictions[i];
  }
}

BleuOptions bleu_options(const nlohmann::json& item) {
  BleuOptions options;
  const auto tokens = test::option_of<std::string>(item, "tokens", "13a");
  for (const WordRule rule : {WordRule::intl, WordRule::characters, WordRule::none}) {
    if (tokens == name_of(rule)) options.words = rule;
  }
  const auto smoothing = test::option_of<std::string>(item, "smoothing", "exp");
  if (smoothing == "floor") options.smoothing = BleuSmoothing::floor;
  if (smoothing == "add-k") options.smoothing = BleuSmoothing::add_k;
  if (smoothing == "none") options.smoothing = BleuSmoothing::none;
  const auto value = test::option_of<nlohmann::json>(item, "value", nlohmann::json());
  if (!value.is_null()) options.value = value.get<double>();
  options.lowercase = test::option_of(item, "lowercase", false);
  options.effective_order = test::option_of(item, "effective_order", false);
  return options;
}

TEST(SacrebleuScores, Bleu) {
  test::each_case("bleu", [](const nlohmann::json& item, const test::Corpus& corpus) {
    const BleuOptions options = bleu_options(item);
    const BleuScore score = bleu(corpus.predictions, corpus.references, options);
    EXPECT_NEAR(score.score, item.at("score").get<double>(), sacrebleu_bound);
    EXPECT_EQ(bleu_line(score), item.at("line").get<std::string>());
    expect_sentences(item, corpus, [&](auto predictions, auto references) {
      return bleu(predictions, references, options).score;
    });
  });
}

TEST(SacrebleuScores, Chrf) {
  test::each_case("chrf", [](const nlohmann::json& item, const test::Corpus& corpus) {
    ChrfOptions options;
    options.character_order = test::option_of(item, "character_order", 6);
    options.word_order = test::option_of(item, "word_order", 0);
    options.beta = test::option_of(item, "beta", 2);
    options.lowercase = test::option_of(item, "lowercase", false);
    options.white_space = test::option_of(item, "white_space", false);
    options.every_order = test::option_of(item, "every_order", false);
    const ChrfScore score = chrf(corpus.predictions, corpus.references, options);
    EXPECT_NEAR(score.score, item.at("score").get<double>(), sacrebleu_bound);
    EXPECT_EQ(chrf_line(score), item.at("line").get<std::string>());
    expect_sentences(item, corpus, [&](auto predictions, auto references) {
      return chrf(predictions, references, options).score;
    });
  });
}

TEST(SacrebleuScores, Ter) {
  test::each_case("ter", [](const nlohmann::json& item, const test::Corpus& corpus) {
    TerWordOptions options;
    options.case_sensitive = test::option_of(item, "case_sensitive", false);
    options.normalised = test::option_of(item, "normalized", false);
    options.no_punctuation = test::option_of(item, "no_punct", false);
    options.asian = test::option_of(item, "asian_support", false);
    const TerScore score = ter(corpus.predictions, corpus.references, options);
    EXPECT_NEAR(score.score, item.at("score").get<double>(), sacrebleu_bound);
    EXPECT_EQ(ter_line(score), item.at("line").get<std::string>());
    expect_sentences(item, corpus, [&](auto predictions, auto references) {
      return ter(predictions, references, options).score;
    });
  });
}

}  // namespace
}  // namespace lowrank::metrics
