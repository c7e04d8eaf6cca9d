#include "metrics/chrf.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"
#include "metrics/ngrams.h"

namespace lowrank::metrics {
namespace {

/// n-grams of one order: predicted, in the reference, in both.
struct Counts {
  double predicted = 0, reference = 0, matched = 0;
};

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// Words with one punctuation at their end, or else at their start, set apart.
Words words_of(std::string_view text) {
  const Words words = Words::of(text);
  Words divided;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word.size() > 1 && is_ascii_punctuation(word.back())) {
      divided.add(word.substr(0, word.size() - 1));
      divided.add(word.substr(word.size() - 1));
    } else if (word.size() > 1 && is_ascii_punctuation(word.front())) {
      divided.add(word.substr(0, 1));
      divided.add(word.substr(1));
    } else {
      divided.add(word);
    }
  }
  return divided;
}

std::string without_white_space(std::string_view text) {
  const Words words = Words::of(text);
  std::string joined;
  for (size_t i = 0; i < words.size(); ++i) joined += words[i];
  return joined;
}

/// A text's n-grams of each order.
class Ngrams {
 public:
  Ngrams(const std::string& text, const ChrfOptions& options) {
    const std::string cased = options.lowercase ? lower_case(text) : text;
    characters_ = options.white_space ? cased : without_white_space(cased);
    words_ = words_of(cased);
    for (int n = 1; n <= options.character_order; ++n) {
      counts_.push_back(character_ngrams(characters_, static_cast<size_t>(n)));
    }
    for (int n = 1; n <= options.word_order; ++n) {
      counts_.push_back(word_ngrams(words_, static_cast<size_t>(n)));
    }
  }
  Ngrams(const Ngrams&) = delete;  // the counts hold views of the members
  Ngrams& operator=(const Ngrams&) = delete;

  std::vector<Counts> compared_with(const Ngrams& reference) const {
    std::vector<Counts> counts(counts_.size());
    for (size_t n = 0; n < counts.size(); ++n) {
      const NgramCounts& others = reference.counts_[n];
      // As in sacrebleu, predicted n-grams do not count against a reference that has none of their order.
      counts[n].predicted = others.empty() ? 0.0 : static_cast<double>(total(counts_[n]));
      counts[n].reference = static_cast<double>(total(others));
      counts[n].matched = static_cast<double>(matches(counts_[n], others));
    }
    return counts;
  }

 private:
  std::string characters_;
  Words words_;
  std::vector<NgramCounts> counts_;
};

double f_score(const std::vector<Counts>& orders, const ChrfOptions& options) {
  constexpr double tiny = 1e-16;
  const auto factor = static_cast<double>(options.beta * options.beta);
  double sum = 0, precisions = 0, recalls = 0, occurring = 0;
  for (const Counts& n : orders) {
    const double precision = n.predicted > 0 ? n.matched / n.predicted : tiny;
    const double recall = n.reference > 0 ? n.matched / n.reference : tiny;
    const double weighted = factor * precision + recall;
    sum += weighted > 0 ? (1 + factor) * precision * recall / weighted : tiny;
    if (n.predicted > 0 && n.reference > 0) {
      precisions += precision;
      recalls += recall;
      occurring += 1;
    }
  }
  if (options.every_order) return 100 * sum / static_cast<double>(orders.size());
  if (occurring == 0 || precisions + recalls == 0) return 0;
  const double precision = precisions / occurring, recall = recalls / occurring;
  return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

std::vector<Counts> best_of(const std::string& prediction, const References& references,
                            const ChrfOptions& options) {
  const Ngrams predicted(prediction, options);
  std::vector<Counts> best;
  double best_score = -1;
  for (const std::string& reference : references) {
    std::vector<Counts> counts = predicted.compared_with(Ngrams(reference, options));
    const double score = f_score(counts, options);
    if (score <= best_score) continue;
    best_score = score;
    best = std::move(counts);
  }
  return best;
}

}  // namespace

ChrfScore chrf(std::span<const std::string> predictions, std::span<const References> references,
               const ChrfOptions& options) {
  check_texts(predictions, references);
  check(options.character_order >= 0 && options.word_order >= 0 &&
            options.character_order + options.word_order > 0 && options.beta >= 1,
        ErrorKind::invalid,
        "chrF counts n-grams of {} characters and {} words with beta {}: orders are at least 0, one of them "
        "and "
        "beta at least 1",
        options.character_order, options.word_order, options.beta);
  std::vector<Counts> sums(static_cast<size_t>(options.character_order + options.word_order));
  for (size_t i = 0; i < predictions.size(); ++i) {
    const std::vector<Counts> counts = best_of(predictions[i], references[i], options);
    for (size_t n = 0; n < sums.size(); ++n) {
      sums[n].predicted += counts[n].predicted;
      sums[n].reference += counts[n].reference;
      sums[n].matched += counts[n].matched;
    }
  }
  ChrfScore score;
  score.score = f_score(sums, options);
  score.name =
      fmt::format("chrF{}{}", options.beta, std::string(static_cast<size_t>(options.word_order), '+'));
  score.signature = fmt::format("nrefs:{}|case:{}|eff:{}|nc:{}|nw:{}|space:{}|{}",
                                reference_count(references), options.lowercase ? "lc" : "mixed",
                                options.every_order ? "no" : "yes", options.character_order,
                                options.word_order, options.white_space ? "yes" : "no", sacrebleu_version);
  return score;
}

std::string chrf_line(const ChrfScore& score, int decimals) {
  return fmt::format("{}|{} = {:.{}f}", score.name, score.signature, score.score, decimals);
}

}  // namespace lowrank::metrics
