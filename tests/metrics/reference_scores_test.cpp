// BLEU and NIST of the E2E challenge, ROUGE-L, CIDEr and exact match: scores of their reference
// implementations.
#include "metric_fixture.h"
#include "metrics/cider.h"
#include "metrics/e2e.h"
#include "metrics/exact_match.h"
#include "metrics/registry.h"
#include "metrics/rouge_l.h"

namespace lowrank::metrics {
namespace {

constexpr double reference_bound = 1e-9;

TEST(ReferenceScores, E2eBleu) {
  test::each_case("e2e_bleu", [](const nlohmann::json& item, const test::Corpus& corpus) {
    EXPECT_NEAR(e2e_bleu(corpus.predictions, corpus.references), item.at("score").get<double>(),
                reference_bound);
  });
}

TEST(ReferenceScores, Nist) {
  test::each_case("nist", [](const nlohmann::json& item, const test::Corpus& corpus) {
    EXPECT_NEAR(nist(corpus.predictions, corpus.references), item.at("score").get<double>(), reference_bound);
  });
}

TEST(ReferenceScores, RougeL) {
  test::each_case("rouge_l", [](const nlohmann::json& item, const test::Corpus& corpus) {
    EXPECT_NEAR(rouge_l(corpus.predictions, corpus.references), item.at("score").get<double>(),
                reference_bound);
    for (size_t i = 0; i < corpus.predictions.size(); ++i) {
      const RougeScore score = rouge_l(corpus.predictions[i], corpus.references[i]);
      const auto expected = item.at("sentences").at(i).get<std::vector<double>>();
      EXPECT_NEAR(score.precision, expected[0], reference_bound) << corpus.predictions[i];
      EXPECT_NEAR(score.recall, expected[1], reference_bound) << corpus.predictions[i];
      EXPECT_NEAR(score.f, expected[2], reference_bound) << corpus.predictions[i];
    }
  });
}

TEST(ReferenceScores, CaptionRougeL) {
  test::each_case("caption_rouge_l", [](const nlohmann::json& item, const test::Corpus& corpus) {
    EXPECT_NEAR(caption_rouge_l(corpus.predictions, corpus.references), item.at("score").get<double>(),
                reference_bound);
  });
}

TEST(ReferenceScores, Cider) {
  test::each_case("cider", [](const nlohmann::json& item, const test::Corpus& corpus) {
    CiderOptions options;
    options.clipped = test::option_of(item, "clipped", true);
    const std::vector<double> scores = cider_of_each(corpus.predictions, corpus.references, options);
    const auto expected = item.at("sentences").get<std::vector<double>>();
    ASSERT_EQ(scores.size(), expected.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      EXPECT_NEAR(scores[i], expected[i], reference_bound) << corpus.predictions[i];
    }
    if (item.contains("score")) {
      EXPECT_NEAR(cider(corpus.predictions, corpus.references, options), item.at("score").get<double>(),
                  reference_bound);
    }
  });
}

TEST(ReferenceScores, MetricsOfPreparedCaptions) {
  const std::map<std::string, test::Corpus> corpora = test::metric_corpora();
  const nlohmann::json scores = test::metric_fixture("scores.json");
  size_t visited = 0;
  for (const nlohmann::json& item : scores.at("cases")) {
    const auto metric = item.at("metric").get<std::string>();
    if (metric != "e2e_rouge_l" && metric != "e2e_cider") continue;
    const test::Corpus& corpus = corpora.at(item.at("corpus").get<std::string>());
    EXPECT_NEAR(metric_of_name(metric).of_texts(corpus.predictions, corpus.references).score,
                item.at("score").get<double>(), reference_bound)
        << metric;
    ++visited;
  }
  EXPECT_GE(visited, 2u);
}

TEST(ReferenceScores, ExactMatch) {
  test::each_case("exact_match", [](const nlohmann::json& item, const test::Corpus& corpus) {
    EXPECT_NEAR(exact_match(corpus.predictions, corpus.references), item.at("score").get<double>(),
                reference_bound);
  });
}

}  // namespace
}  // namespace lowrank::metrics
