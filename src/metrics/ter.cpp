#include "metrics/ter.h"

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "metrics/edit_rate.h"
#include "metrics/tokenise.h"

namespace lowrank::metrics {
namespace {

/// Equal words get equal numbers.
class WordNumbers {
 public:
  std::vector<uint32_t> of(const Words& words) {
    std::vector<uint32_t> numbers;
    for (size_t i = 0; i < words.size(); ++i) {
      const auto next = static_cast<uint32_t>(numbers_.size());
      numbers.push_back(numbers_.try_emplace(std::string(words[i]), next).first->second);
    }
    return numbers;
  }

 private:
  std::map<std::string, uint32_t, std::less<>> numbers_;
};

std::string_view yes_or_no(bool value) {
  return value ? "yes" : "no";
}

}  // namespace

TerScore ter(std::span<const std::string> predictions, std::span<const References> references,
             const TerWordOptions& options) {
  check_texts(predictions, references);
  TerScore score;
  for (size_t i = 0; i < predictions.size(); ++i) {
    WordNumbers numbers;
    const auto sequence = [&](const std::string& text) {
      return numbers.of(ter_words(without_space_at_end(text), options));
    };
    const std::vector<uint32_t> prediction = sequence(predictions[i]);
    int64_t fewest = std::numeric_limits<int64_t>::max();
    double lengths = 0;
    for (const std::string& text : references[i]) {
      // sacrebleu divides references twice, which divides some punctuation further.
      const std::vector<uint32_t> reference =
          sequence(std::string(ter_words(without_space_at_end(text), options).text()));
      fewest = std::min(fewest, edits(prediction, reference));
      lengths += static_cast<double>(reference.size());
    }
    score.edits += static_cast<double>(fewest);
    score.reference_words += lengths / static_cast<double>(references[i].size());
  }
  if (score.reference_words > 0) {
    score.score = 100 * (score.edits / score.reference_words);
  } else {
    score.score = score.edits > 0 ? 100 : 0;
  }
  score.signature =
      fmt::format("nrefs:{}|case:{}|tok:tercom|norm:{}|punct:{}|asian:{}|{}", reference_count(references),
                  options.case_sensitive ? "mixed" : "lc", yes_or_no(options.normalised),
                  yes_or_no(!options.no_punctuation), yes_or_no(options.asian), sacrebleu_version);
  return score;
}

std::string ter_line(const TerScore& score, int decimals) {
  return fmt::format("TER|{} = {:.{}f}", score.signature, score.score, decimals);
}

}  // namespace lowrank::metrics
