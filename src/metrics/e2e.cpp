#include "metrics/e2e.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text/characters.h"
#include "metrics/ngrams.h"
#include "metrics/tokenise.h"

namespace lowrank::metrics {
namespace {

constexpr size_t bleu_orders = 4, nist_orders = 5;

Words words_of(const std::string& text) {
  // Lower case follows the division, since Greek's final sigma depends on a word's end.
  return Words::at_each_space(lower_case(tokenise(text, WordRule::v13a).text()));
}

std::vector<Words> words_of_each(const References& references) {
  std::vector<Words> words;
  words.reserve(references.size());
  for (const std::string& reference : references) words.push_back(words_of(reference));
  return words;
}

NgramCounts clip_of(const std::vector<Words>& references, size_t order) {
  NgramCounts clip;
  for (const Words& reference : references) take_larger(clip, word_ngrams(reference, order));
  return clip;
}

double closest_length(size_t length, const std::vector<Words>& references) {
  const auto rank = [length](const Words& reference) {
    const size_t other = reference.size();
    return std::pair{other > length ? other - length : length - other, other};
  };
  const auto closest = std::min_element(references.begin(), references.end(),
                                        [&](const Words& a, const Words& b) { return rank(a) < rank(b); });
  return static_cast<double>(closest->size());
}

/// A text's words and its references'.
struct Text {
  Words prediction;
  std::vector<Words> references;
};

std::vector<Text> texts_of(std::span<const std::string> predictions, std::span<const References> references) {
  check_texts(predictions, references);
  std::vector<Text> texts;
  texts.reserve(predictions.size());
  for (size_t i = 0; i < predictions.size(); ++i) {
    texts.push_back({words_of(predictions[i]), words_of_each(references[i])});
  }
  return texts;
}

double predicted_ngrams(const Text& text, size_t order) {
  return static_cast<double>(text.prediction.size()) - static_cast<double>(order) + 1;
}

/// How often the n-grams of each order occur in all references; of order 0 the number of words.
class ReferenceCounts {
 public:
  explicit ReferenceCounts(const std::vector<Text>& texts) {
    for (const Text& text : texts) {
      for (const Words& reference : text.references) {
        words_ += static_cast<double>(reference.size());
        for (size_t order = 1; order <= nist_orders; ++order) {
          for (const auto& [ngram, count] : word_ngrams(reference, order)) counts_[order - 1][ngram] += count;
        }
      }
    }
  }

  /// log2 of the count of the first words over that of the whole n-gram, which occurs.
  double information(std::string_view ngram, size_t order) const {
    const auto count = static_cast<double>(count_of(counts_[order - 1], ngram));
    if (order == 1) return std::log2(words_ / count);
    const std::string_view first = ngram.substr(0, ngram.rfind(' '));
    return std::log2(static_cast<double>(count_of(counts_[order - 2], first)) / count);
  }

 private:
  double words_ = 0;
  std::array<NgramCounts, nist_orders> counts_;
};

double length_factor(double ratio) {
  if (ratio >= 1) return 1;
  const double beta = -std::log(0.5) / (std::log(1.5) * std::log(1.5));
  return std::exp(-beta * std::log(ratio) * std::log(ratio));
}

}  // namespace

double e2e_bleu(std::span<const std::string> predictions, std::span<const References> references) {
  std::array<double, bleu_orders> matched{}, predicted{};
  double reference_words = 0;
  for (const Text& text : texts_of(predictions, references)) {
    for (size_t order = 1; order <= bleu_orders; ++order) {
      const NgramCounts clip = clip_of(text.references, order);
      matched[order - 1] += static_cast<double>(matches(word_ngrams(text.prediction, order), clip));
      predicted[order - 1] += predicted_ngrams(text, order);
    }
    reference_words += closest_length(text.prediction.size(), text.references);
  }
  double logs = 0;
  for (size_t n = 0; n < bleu_orders; ++n) {
    logs += std::log(std::max(matched[n], 1e-15) / std::max(predicted[n], 1e-9));
  }
  const double penalty = predicted[0] <= reference_words ? std::exp(1 - reference_words / predicted[0]) : 1.0;
  return penalty * std::exp(logs / bleu_orders);
}

double nist(std::span<const std::string> predictions, std::span<const References> references) {
  const std::vector<Text> texts = texts_of(predictions, references);
  const ReferenceCounts counts(texts);
  std::array<double, nist_orders> information{}, predicted{};
  double mean_lengths = 0;
  for (const Text& text : texts) {
    for (size_t order = 1; order <= nist_orders; ++order) {
      const NgramCounts clip = clip_of(text.references, order);
      for (const auto& [ngram, count] : word_ngrams(text.prediction, order)) {
        const int64_t hits = std::min(count, count_of(clip, ngram));
        if (hits > 0) information[order - 1] += counts.information(ngram, order) * static_cast<double>(hits);
      }
      predicted[order - 1] += predicted_ngrams(text, order);
    }
    double lengths = 0;
    for (const Words& reference : text.references) lengths += static_cast<double>(reference.size());
    mean_lengths += lengths / static_cast<double>(text.references.size());
  }
  double sum = 0;
  for (size_t n = 0; n < nist_orders; ++n) {
    if (predicted[n] == 0) return 0;
    sum += information[n] / predicted[n];
  }
  return length_factor(predicted[0] / mean_lengths) * sum;
}

}  // namespace lowrank::metrics
