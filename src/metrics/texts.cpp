#include "metrics/texts.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank::metrics {

void check_texts(std::span<const std::string> predictions, std::span<const References> references) {
  check(!predictions.empty(), ErrorKind::invalid, "there are no texts to score");
  check(predictions.size() == references.size(), ErrorKind::invalid,
        "{} predictions have {} lists of references: give one list for each prediction", predictions.size(),
        references.size());
  for (size_t i = 0; i < references.size(); ++i) {
    check(!references[i].empty(), ErrorKind::invalid, "the list of references of text {} is empty", i + 1);
  }
}

std::string reference_count(std::span<const References> references) {
  const size_t first = references.empty() ? 0 : references[0].size();
  const bool same = std::all_of(references.begin(), references.end(),
                                [&](const auto& list) { return list.size() == first; });
  return same ? std::to_string(first) : "var";
}

}  // namespace lowrank::metrics
