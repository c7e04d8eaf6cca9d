#include "metrics/cider.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "metrics/ngrams.h"

namespace lowrank::metrics {
namespace {

constexpr size_t orders = 4;

/// In how many texts an n-gram occurs in a reference. n-grams of different orders differ in their spaces.
using TextCounts = std::map<std::string, double, std::less<>>;

/// Weights of n-grams by order. The keys are views of the words they come from.
struct Vector {
  std::array<std::map<std::string_view, double>, orders> weights;
  std::array<double, orders> norms{};
  double bigrams = 0;
};

TextCounts texts_with(const std::vector<std::vector<Words>>& references) {
  TextCounts counts;
  for (const std::vector<Words>& list : references) {
    std::set<std::string_view> seen;
    for (const Words& words : list) {
      for (size_t n = 1; n <= orders; ++n) {
        for (size_t i = 0; i + n <= words.size(); ++i) seen.insert(words.run(i, n));
      }
    }
    for (const std::string_view ngram : seen) {
      const auto found = counts.find(ngram);
      if (found == counts.end()) {
        counts.emplace(ngram, 1.0);
      } else {
        found->second += 1;
      }
    }
  }
  return counts;
}

Vector vector_of(const Words& words, const TextCounts& counts, double log_texts) {
  Vector vector;
  for (size_t n = 1; n <= orders; ++n) {
    double squares = 0;
    for (const auto& [ngram, count] : word_ngrams(words, n)) {
      const auto found = counts.find(ngram);
      const double log_count = found == counts.end() ? 0.0 : std::log(found->second);
      const double weight = static_cast<double>(count) * (log_texts - log_count);
      vector.weights[n - 1][ngram] = weight;
      squares += weight * weight;
    }
    vector.norms[n - 1] = std::sqrt(squares);
  }
  vector.bigrams = words.size() < 2 ? 0.0 : static_cast<double>(words.size() - 1);
  return vector;
}

/// The sum over orders.
double similarity(const Vector& prediction, const Vector& reference, const CiderOptions& options) {
  const double difference = prediction.bigrams - reference.bigrams;
  const double factor =
      options.clipped ? std::exp(-difference * difference / (2 * options.sigma * options.sigma)) : 1.0;
  double sum = 0;
  for (size_t n = 0; n < orders; ++n) {
    double product = 0;
    for (const auto& [ngram, weight] : prediction.weights[n]) {
      const auto found = reference.weights[n].find(ngram);
      if (found == reference.weights[n].end()) continue;
      product += (options.clipped ? std::min(weight, found->second) : weight) * found->second;
    }
    const double norms = prediction.norms[n] * reference.norms[n];
    sum += factor * (norms != 0 ? product / norms : product);
  }
  return sum;
}

}  // namespace

std::vector<double> cider_of_each(std::span<const std::string> predictions,
                                  std::span<const References> references, const CiderOptions& options) {
  check_texts(predictions, references);
  check(options.sigma > 0, ErrorKind::invalid, "CIDEr's sigma is {}, and must be above 0", options.sigma);
  std::vector<std::vector<Words>> words;
  for (const References& list : references) {
    words.emplace_back();
    for (const std::string& text : list) words.back().push_back(Words::of(text));
  }
  const TextCounts counts = texts_with(words);
  const double log_texts = std::log(static_cast<double>(predictions.size()));
  std::vector<double> scores;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const Words predicted = Words::of(predictions[i]);
    const Vector vector = vector_of(predicted, counts, log_texts);
    double sum = 0;
    for (const Words& reference : words[i]) {
      sum += similarity(vector, vector_of(reference, counts, log_texts), options);
    }
    scores.push_back(10 * sum / static_cast<double>(orders) / static_cast<double>(words[i].size()));
  }
  return scores;
}

double cider(std::span<const std::string> predictions, std::span<const References> references,
             const CiderOptions& options) {
  const std::vector<double> scores = cider_of_each(predictions, references, options);
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

}  // namespace lowrank::metrics
