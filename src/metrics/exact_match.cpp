#include "metrics/exact_match.h"

#include <algorithm>

#include "base/text/characters.h"

namespace lowrank::metrics {
namespace {

std::string compared(const std::string& text, const ExactMatchOptions& options) {
  std::string kept = options.ignore_case ? lower_case(text) : text;
  std::erase_if(kept, [&](char c) {
    const bool digit = c >= '0' && c <= '9';
    const bool punctuation =
        (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    return (options.ignore_numbers && digit) || (options.ignore_punctuation && punctuation);
  });
  return kept;
}

}  // namespace

double exact_match(std::span<const std::string> predictions, std::span<const References> references,
                   const ExactMatchOptions& options) {
  check_texts(predictions, references);
  double matches = 0;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const std::string prediction = compared(predictions[i], options);
    const bool found = std::any_of(references[i].begin(), references[i].end(), [&](const std::string& text) {
      return compared(text, options) == prediction;
    });
    matches += found ? 1 : 0;
  }
  return matches / static_cast<double>(predictions.size());
}

}  // namespace lowrank::metrics
