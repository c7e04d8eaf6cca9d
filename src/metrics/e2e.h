#pragma once

#include "metrics/texts.h"

namespace lowrank::metrics {

/// BLEU and NIST as the E2E challenge and the papers on its data compute them: e2e-metrics'
/// `measure_scores.py -p`, that is its pymteval. Without `-p` it runs mteval-v13a.pl, whose NIST differs
/// where texts have different numbers of references. Texts are divided as mteval-v13a does and compared
/// without case; an empty text is one empty word. Errors: as check_texts.

/// BLEU from 0 to 1. It differs from sacrebleu's: no smoothing but a tiny constant (1e-15 matches where there
/// are none, 1e-9 n-grams where there are none), and a text of l words has l - n + 1 n-grams even where that
/// is negative.
double e2e_bleu(std::span<const std::string> predictions, std::span<const References> references);

/// NIST (Doddington, 2002): the sum over n = 1..5 of the information of the matched n-grams divided by the
/// number of predicted n-grams (l - n + 1 per text), times e^(-b ln²(min(1, c/r))) with b = -ln 0.5 /
/// ln² 1.5, c predicted words and r the mean lengths of the texts' references, summed. The information of an
/// n-gram is log2 of how much rarer it is in all references than its first n - 1 words. 0 where an
/// order has 0 predicted n-grams.
double nist(std::span<const std::string> predictions, std::span<const References> references);

}  // namespace lowrank::metrics
