#include "metrics/rouge_l.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/characters.h"
#include "metrics/words.h"

namespace lowrank::metrics {
namespace {

Words letters_and_digits(const std::string& text) {
  Words words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.add(word);
    word.clear();
  };
  for (const char c : lower_case(text)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else {
      finish();
    }
  }
  finish();
  return words;
}

/// The length of the longest sequence of words that both contain in this order.
double common_words(const Words& a, const Words& b) {
  std::vector<size_t> lengths(b.size() + 1, 0);  // of the words of a so far and the first j of b
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = lengths[j];
      lengths[j] = a[i] == b[j - 1] ? diagonal + 1 : std::max(above, lengths[j - 1]);
      diagonal = above;
    }
  }
  return static_cast<double>(lengths.back());
}

RougeScore score_of(const Words& prediction, const Words& reference) {
  if (prediction.empty() || reference.empty()) return {};
  const double common = common_words(reference, prediction);
  RougeScore score;
  score.precision = common / static_cast<double>(prediction.size());
  score.recall = common / static_cast<double>(reference.size());
  const double sum = score.precision + score.recall;
  score.f = sum > 0 ? 2 * score.precision * score.recall / sum : 0;
  return score;
}

double caption_score(const std::string& prediction, const References& references) {
  constexpr double factor = 1.2 * 1.2;
  const Words predicted = Words::at_each_space(prediction);
  double precision = 0, recall = 0;
  for (const std::string& text : references) {
    const Words reference = Words::at_each_space(text);
    const double common = common_words(reference, predicted);
    precision = std::max(precision, common / static_cast<double>(predicted.size()));
    recall = std::max(recall, common / static_cast<double>(reference.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + factor) * precision * recall / (recall + factor * precision);
}

}  // namespace

RougeScore rouge_l(const std::string& prediction, const References& references) {
  check(!references.empty(), ErrorKind::invalid, "a text without references has no ROUGE-L");
  const Words predicted = letters_and_digits(prediction);
  RougeScore best = score_of(predicted, letters_and_digits(references[0]));
  for (size_t i = 1; i < references.size(); ++i) {
    const RougeScore score = score_of(predicted, letters_and_digits(references[i]));
    if (score.f > best.f) best = score;
  }
  return best;
}

double rouge_l(std::span<const std::string> predictions, std::span<const References> references) {
  check_texts(predictions, references);
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) sum += rouge_l(predictions[i], references[i]).f;
  return sum / static_cast<double>(predictions.size());
}

double caption_rouge_l(std::span<const std::string> predictions, std::span<const References> references) {
  check_texts(predictions, references);
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) sum += caption_score(predictions[i], references[i]);
  return sum / static_cast<double>(predictions.size());
}

}  // namespace lowrank::metrics
