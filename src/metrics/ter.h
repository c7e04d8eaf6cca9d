#pragma once

#include "metrics/ter_words.h"
#include "metrics/texts.h"

namespace lowrank::metrics {

struct TerScore {
  double score = 0;  ///< percent; 0 is best, and it may be over 100
  double edits = 0;
  double reference_words = 0;  ///< means over each text's references, summed
  std::string signature;       ///< as sacrebleu's
};

/// Translation edit rate of a corpus (Snover et al., 2006) as sacrebleu 2 computes it, after Tercom: 100
/// times the edits (metrics/edit_rate.h) to the reference with the fewest, over the mean length of the
/// references, both summed over texts; 100 where the references have no words but predictions have, 0 where
/// neither has. Errors: as check_texts.
TerScore ter(std::span<const std::string> predictions, std::span<const References> references,
             const TerWordOptions& options = {});

/// The line that sacrebleu prints: "TER|signature = 44.18".
std::string ter_line(const TerScore& score, int decimals = 2);

}  // namespace lowrank::metrics
