#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "metrics/texts.h"
#include "metrics/tokenise.h"

namespace lowrank::metrics {

/// What replaces a precision of 0, after Chen and Cherry, "A Systematic Comparison of Smoothing Techniques
/// for Sentence-Level BLEU" (2014).
enum class BleuSmoothing {
  exp,    ///< the k-th precision without a match is 1 / (2^k total)
  floor,  ///< `value` matches (0.1)
  add_k,  ///< `value` (1) added to matches and totals of all orders above 1
  none
};

struct BleuOptions {
  WordRule words = WordRule::v13a;
  BleuSmoothing smoothing = BleuSmoothing::exp;
  std::optional<double> value;  ///< of `floor` and `add_k`
  bool lowercase = false;       ///< compare without case
  bool effective_order =
      false;  ///< leave out orders that no prediction is long enough for: for single sentences
};

inline constexpr size_t bleu_order = 4;

struct BleuScore {
  double score = 0;  ///< 0 to 100
  std::array<double, bleu_order> precisions{};
  double brevity_penalty = 1;
  int64_t prediction_words = 0, reference_words = 0;
  std::string signature;  ///< as sacrebleu's
};

/// BLEU of a corpus (Papineni et al., 2002) as sacrebleu 2 computes it:
/// min(1, e^(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4), where p_n is the share of the predictions' n-grams that occur
/// in a reference, each counted at most as often as in the reference that has it most often; c is the number
/// of predicted words and r the sum of the lengths of the references closest in length (of two, the shorter).
/// A sentence's score is that of a corpus of one text, best with `effective_order`. Errors: as check_texts.
BleuScore bleu(std::span<const std::string> predictions, std::span<const References> references,
               const BleuOptions& options = {});

/// The line that sacrebleu prints: "BLEU|signature = 34.56 62.1/40.3/27.5/19.0 (BP = 0.987 ratio = …)".
std::string bleu_line(const BleuScore& score, int decimals = 2);

}  // namespace lowrank::metrics
