#include "metrics/registry.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "metrics/bleu.h"
#include "metrics/caption_words.h"
#include "metrics/chrf.h"
#include "metrics/cider.h"
#include "metrics/classification.h"
#include "metrics/correlation.h"
#include "metrics/e2e.h"
#include "metrics/exact_match.h"
#include "metrics/rouge_l.h"
#include "metrics/ter.h"

namespace lowrank::metrics {
namespace {

using Texts = std::span<const std::string>;
using Lists = std::span<const References>;

Scored scored_bleu(Texts predictions, Lists references) {
  const BleuScore score = bleu(predictions, references);
  return {score.score, score.signature};
}

Scored scored_ter(Texts predictions, Lists references) {
  const TerScore score = ter(predictions, references);
  return {score.score, score.signature};
}

Scored scored_chrf(Texts predictions, Lists references) {
  const ChrfScore score = chrf(predictions, references);
  return {score.score, score.signature};
}

Scored scored_chrf_words(Texts predictions, Lists references) {
  ChrfOptions options;
  options.word_order = 2;
  const ChrfScore score = chrf(predictions, references, options);
  return {score.score, score.signature};
}

/// Texts as the E2E challenge prepares them for the metrics of captions.
std::string prepared(const std::string& text) {
  return std::string(caption_words(text).text());
}

template <double (*metric)(Texts, Lists)>
Scored of_prepared(Texts predictions, Lists references) {
  check_texts(predictions, references);
  std::vector<std::string> texts;
  std::vector<References> lists;
  for (size_t i = 0; i < predictions.size(); ++i) {
    texts.push_back(prepared(predictions[i]));
    lists.emplace_back();
    for (const std::string& reference : references[i]) lists.back().push_back(prepared(reference));
  }
  return {metric(texts, lists), {}};
}

double default_cider(Texts predictions, Lists references) {
  return cider(predictions, references);
}

constexpr MetricInfo of_texts(std::string_view name, std::string_view description,
                              Scored (*function)(Texts, Lists), bool higher_is_better = true) {
  return {name, description, MetricInput::texts, higher_is_better, function, nullptr, nullptr};
}

constexpr MetricInfo of_labels(std::string_view name, std::string_view description,
                               double (*function)(Texts, Texts)) {
  return {name, description, MetricInput::labels, true, nullptr, function, nullptr};
}

constexpr MetricInfo of_numbers(std::string_view name, std::string_view description,
                                double (*function)(std::span<const double>, std::span<const double>)) {
  return {name, description, MetricInput::numbers, true, nullptr, nullptr, function};
}

constexpr std::array metrics{
    of_texts("bleu", "BLEU as sacrebleu, 0 to 100", scored_bleu),
    of_texts("e2e_bleu", "BLEU as the E2E challenge, 0 to 1",
             [](Texts p, Lists r) {
               return Scored{e2e_bleu(p, r), {}};
             }),
    of_texts("nist", "NIST as the E2E challenge, from 0",
             [](Texts p, Lists r) {
               return Scored{nist(p, r), {}};
             }),
    of_texts("rouge_l", "ROUGE-L's F1 as rouge-score, 0 to 1",
             [](Texts p, Lists r) {
               return Scored{rouge_l(p, r), {}};
             }),
    of_texts("caption_rouge_l", "ROUGE-L as pycocoevalcap and the E2E challenge, 0 to 1",
             [](Texts p, Lists r) {
               return Scored{caption_rouge_l(p, r), {}};
             }),
    of_texts("cider", "CIDEr as pycocoevalcap, 0 to 10",
             [](Texts p, Lists r) {
               return Scored{cider(p, r), {}};
             }),
    of_texts("e2e_rouge_l", "caption_rouge_l of words as the E2E challenge prepares them, 0 to 1",
             of_prepared<caption_rouge_l>),
    of_texts("e2e_cider", "cider of the same words, 0 to 10", of_prepared<default_cider>),
    of_texts("ter", "translation edit rate as sacrebleu, from 0, lower is better", scored_ter, false),
    of_texts("chrf", "chrF as sacrebleu, 0 to 100", scored_chrf),
    of_texts("chrf++", "chrF++ as sacrebleu, 0 to 100", scored_chrf_words),
    of_texts("exact_match", "share of texts that equal a reference, 0 to 1",
             [](Texts p, Lists r) {
               return Scored{exact_match(p, r), {}};
             }),
    of_labels("accuracy", "share of right labels, 0 to 1", [](Texts p, Texts l) { return accuracy(p, l); }),
    of_labels("f1", "F1 of the label 1 of two, 0 to 1", [](Texts p, Texts l) { return f1(p, l); }),
    of_labels("f1_macro", "mean of the labels' F1, 0 to 1", f1_macro),
    of_labels("f1_micro", "F1 of all labels' counts together, 0 to 1", f1_micro),
    of_labels("matthews", "Matthews' correlation, -1 to 1", matthews),
    of_numbers("pearson", "Pearson's correlation, -1 to 1", pearson),
    of_numbers("spearman", "Spearman's correlation of ranks, -1 to 1", spearman),
};

}  // namespace

std::span<const MetricInfo> all_metrics() {
  return metrics;
}

const MetricInfo& metric_of_name(std::string_view name) {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [&](const auto& m) { return m.name == name; });
  if (found != metrics.end()) return *found;
  std::vector<std::string_view> names;
  for (const MetricInfo& metric : metrics) names.push_back(metric.name);
  fail(ErrorKind::not_found, "there is no metric {}: the metrics are {}", in_quotes(name),
       fmt::join(names, ", "));
}

}  // namespace lowrank::metrics
