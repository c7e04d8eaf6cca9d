#pragma once

#include "metrics/texts.h"

namespace lowrank::metrics {

struct RougeScore {
  double precision = 0, recall = 0, f = 0;  ///< 0 to 1
};

/// ROUGE-L of one text (Lin, 2004) as `rouge-score` computes it without stemmer: with l the length of the
/// longest common subsequence of words, precision l / predicted words, recall l / the reference's words, and
/// F1 of both; of several references the first with the best F1. Words are the runs of a-z and 0-9 in the
/// text's lower case, so other scripts have none. Errors: invalid for no reference.
RougeScore rouge_l(const std::string& prediction, const References& references);

/// The mean over texts of their F1. Errors: as check_texts.
double rouge_l(std::span<const std::string> predictions, std::span<const References> references);

/// ROUGE-L of pycocoevalcap, which the E2E challenge uses: of several references the best precision and the
/// best recall, F with beta 1.2, the mean over texts. Words lie between single spaces and are compared as
/// they are: the challenge first prepares texts (metrics/caption_words.h). Errors: as check_texts.
double caption_rouge_l(std::span<const std::string> predictions, std::span<const References> references);

}  // namespace lowrank::metrics
