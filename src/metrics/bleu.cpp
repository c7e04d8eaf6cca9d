#include "metrics/bleu.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text/characters.h"
#include "metrics/ngrams.h"

namespace lowrank::metrics {
namespace {

/// Sums over the texts of a corpus. Counts are of f64 because add_k adds fractions to them.
struct Counts {
  std::array<double, bleu_order> matches{}, totals{};
  int64_t prediction_words = 0, reference_words = 0;
};

Words words_of(const std::string& text, const BleuOptions& options) {
  const std::string lower = options.lowercase ? lower_case(text) : text;
  return tokenise(without_space_at_end(lower), options.words);
}

int64_t closest_length(int64_t length, const std::vector<Words>& references) {
  int64_t closest = static_cast<int64_t>(references[0].size());
  for (const Words& reference : references) {
    const auto other = static_cast<int64_t>(reference.size());
    const int64_t difference = std::abs(length - other), least = std::abs(length - closest);
    if (difference < least || (difference == least && other < closest)) closest = other;
  }
  return closest;
}

void count(Counts& counts, const Words& prediction, const std::vector<Words>& references) {
  counts.prediction_words += static_cast<int64_t>(prediction.size());
  counts.reference_words += closest_length(static_cast<int64_t>(prediction.size()), references);
  for (size_t order = 1; order <= bleu_order; ++order) {
    NgramCounts clip;
    for (const Words& reference : references) take_larger(clip, word_ngrams(reference, order));
    const NgramCounts ngrams = word_ngrams(prediction, order);
    counts.matches[order - 1] += static_cast<double>(matches(ngrams, clip));
    counts.totals[order - 1] += static_cast<double>(total(ngrams));
  }
}

double default_value(BleuSmoothing smoothing) {
  return smoothing == BleuSmoothing::floor ? 0.1 : 1.0;
}

std::string signature_of(std::span<const References> references, const BleuOptions& options) {
  const double value = options.value.value_or(default_value(options.smoothing));
  std::string smoothing = "none";
  if (options.smoothing == BleuSmoothing::exp) smoothing = "exp";
  if (options.smoothing == BleuSmoothing::floor) smoothing = fmt::format("floor[{:.2f}]", value);
  if (options.smoothing == BleuSmoothing::add_k) smoothing = fmt::format("add-k[{:.2f}]", value);
  return fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:{}|{}", reference_count(references),
                     options.lowercase ? "lc" : "mixed", options.effective_order ? "yes" : "no",
                     name_of(options.words), smoothing, sacrebleu_version);
}

/// The geometric mean of the precisions, which are left in `precisions` (in percent).
double mean_precision(Counts counts, const BleuOptions& options, std::array<double, bleu_order>& precisions) {
  const double value = options.value.value_or(default_value(options.smoothing));
  double halvings = 1;
  size_t used = bleu_order;
  for (size_t n = 0; n < bleu_order; ++n) {
    double& matched = counts.matches[n];
    double& all = counts.totals[n];
    if (options.smoothing == BleuSmoothing::add_k && n > 0) {
      matched += value;
      all += value;
    }
    if (all == 0) break;
    if (options.effective_order) used = n + 1;
    if (matched != 0) {
      precisions[n] = 100.0 * matched / all;
    } else if (options.smoothing == BleuSmoothing::exp) {
      halvings *= 2;
      precisions[n] = 100.0 / (halvings * all);
    } else if (options.smoothing == BleuSmoothing::floor) {
      precisions[n] = 100.0 * value / all;
    }
  }
  constexpr double log_of_zero = -9999999999;  // the reference's
  double logs = 0;
  for (size_t n = 0; n < used; ++n) logs += precisions[n] == 0 ? log_of_zero : std::log(precisions[n]);
  return std::exp(logs / static_cast<double>(used));
}

}  // namespace

BleuScore bleu(std::span<const std::string> predictions, std::span<const References> references,
               const BleuOptions& options) {
  check_texts(predictions, references);
  Counts counts;
  for (size_t i = 0; i < predictions.size(); ++i) {
    std::vector<Words> others;
    for (const std::string& reference : references[i]) others.push_back(words_of(reference, options));
    count(counts, words_of(predictions[i], options), others);
  }
  BleuScore score;
  score.signature = signature_of(references, options);
  score.prediction_words = counts.prediction_words;
  score.reference_words = counts.reference_words;
  if (counts.prediction_words < counts.reference_words) {
    score.brevity_penalty = counts.prediction_words == 0
                                ? 0.0
                                : std::exp(1 - static_cast<double>(counts.reference_words) /
                                                   static_cast<double>(counts.prediction_words));
  }
  const auto any = [](double matched) { return matched != 0; };
  if (!std::any_of(counts.matches.begin(), counts.matches.end(), any)) return score;
  score.score = score.brevity_penalty * mean_precision(counts, options, score.precisions);
  return score;
}

std::string bleu_line(const BleuScore& score, int decimals) {
  const double ratio = score.reference_words == 0 ? 0.0
                                                  : static_cast<double>(score.prediction_words) /
                                                        static_cast<double>(score.reference_words);
  const auto& p = score.precisions;
  return fmt::format(
      "BLEU|{} = {:.{}f} {:.1f}/{:.1f}/{:.1f}/{:.1f} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})",
      score.signature, score.score, decimals, p[0], p[1], p[2], p[3], score.brevity_penalty, ratio,
      score.prediction_words, score.reference_words);
}

}  // namespace lowrank::metrics
