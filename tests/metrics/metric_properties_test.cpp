// What holds of every metric of texts, and what is an error.
#include <algorithm>
#include <random>

#include "metric_fixture.h"
#include "metrics/bleu.h"
#include "metrics/exact_match.h"
#include "metrics/registry.h"
#include "metrics/ter.h"
#include "support/expect_error.h"

namespace lowrank::metrics {
namespace {

std::vector<const MetricInfo*> metrics_of(MetricInput input) {
  std::vector<const MetricInfo*> chosen;
  for (const MetricInfo& metric : all_metrics()) {
    if (metric.input == input) chosen.push_back(&metric);
  }
  return chosen;
}

TEST(MetricProperties, APerfectMatchHasTheBestScore) {
  test::Corpus corpus = test::metric_corpora().at("restaurants");
  for (size_t i = 0; i < corpus.predictions.size(); ++i) corpus.predictions[i] = corpus.references[i].back();
  const std::map<std::string_view, double> best{{"bleu", 100},          {"e2e_bleu", 1},   {"rouge_l", 1},
                                                {"caption_rouge_l", 1}, {"ter", 0},        {"chrf", 100},
                                                {"chrf++", 100},        {"exact_match", 1}};
  for (const auto& [name, score] : best) {
    EXPECT_NEAR(metric_of_name(name).of_texts(corpus.predictions, corpus.references).score, score, 1e-9)
        << name;
  }
}

TEST(MetricProperties, TheOrderOfReferencesAndTextsDoesNotMatter) {
  const test::Corpus corpus = test::metric_corpora().at("restaurants");
  test::Corpus other;
  std::vector<size_t> order(corpus.predictions.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937 random_numbers(3);
  std::shuffle(order.begin(), order.end(), random_numbers);
  for (const size_t i : order) {
    other.predictions.push_back(corpus.predictions[i]);
    other.references.push_back(corpus.references[i]);
    std::shuffle(other.references.back().begin(), other.references.back().end(), random_numbers);
  }
  for (const MetricInfo* metric : metrics_of(MetricInput::texts)) {
    EXPECT_NEAR(metric->of_texts(corpus.predictions, corpus.references).score,
                metric->of_texts(other.predictions, other.references).score, 1e-9)
        << metric->name;
  }
}

TEST(MetricProperties, AnotherReferenceNeverMakesTheseWorse) {
  test::Corpus corpus = test::metric_corpora().at("restaurants");
  std::map<std::string_view, double> before;
  const auto names = {"rouge_l", "caption_rouge_l", "exact_match"};
  for (const char* name : names) {
    before[name] = metric_of_name(name).of_texts(corpus.predictions, corpus.references).score;
  }
  for (size_t i = 0; i < corpus.references.size(); ++i) {
    corpus.references[i].push_back(corpus.predictions[(i + 1) % corpus.predictions.size()]);
  }
  for (const char* name : names) {
    EXPECT_GE(metric_of_name(name).of_texts(corpus.predictions, corpus.references).score, before[name])
        << name;
  }
}

TEST(MetricProperties, AShiftIsOneEdit) {
  const std::vector<std::string> prediction{"c d e f a b"};
  const std::vector<References> reference{{"a b c d e f"}};
  EXPECT_EQ(ter(prediction, reference).edits, 1);
}

TEST(MetricProperties, EveryMetricOfTextsNamesBadInput) {
  const std::vector<std::string> none, two{"a", "b"};
  const std::vector<References> no_lists, one_list{{"a"}}, second_empty{{"a"}, {}};
  for (const MetricInfo* metric : metrics_of(MetricInput::texts)) {
    SCOPED_TRACE(metric->name);
    lowrank::test::expect_error(ErrorKind::invalid, "there are no texts to score", "",
                                [&] { metric->of_texts(none, no_lists); });
    lowrank::test::expect_error(ErrorKind::invalid, "2 predictions have 1 lists of references", "",
                                [&] { metric->of_texts(two, one_list); });
    lowrank::test::expect_error(ErrorKind::invalid, "the list of references of text 2 is empty", "",
                                [&] { metric->of_texts(two, second_empty); });
  }
}

TEST(MetricProperties, ExactMatchLeavesOutWhatItIsToldTo) {
  const std::vector<std::string> predictions{"The Cat, 9!", "b"};
  const std::vector<References> references{{"x", "the cat 12"}, {"c"}};
  EXPECT_EQ(exact_match(predictions, references), 0);
  EXPECT_EQ(exact_match(predictions, references, {true, true, false}), 0);
  EXPECT_EQ(exact_match(predictions, references, {true, true, true}), 0.5);
}

TEST(MetricRegistry, EachMetricHasTheFunctionOfItsInput) {
  for (const MetricInfo& metric : all_metrics()) {
    EXPECT_EQ(metric.of_texts != nullptr, metric.input == MetricInput::texts) << metric.name;
    EXPECT_EQ(metric.of_labels != nullptr, metric.input == MetricInput::labels) << metric.name;
    EXPECT_EQ(metric.of_numbers != nullptr, metric.input == MetricInput::numbers) << metric.name;
    EXPECT_EQ(&metric_of_name(metric.name), &metric);
    EXPECT_EQ(metric.higher_is_better, metric.name != "ter");
  }
  lowrank::test::expect_error(ErrorKind::not_found,
                              "there is no metric \"blue\": the metrics are bleu, e2e_bleu", "",
                              [] { metric_of_name("blue"); });
}

}  // namespace
}  // namespace lowrank::metrics
