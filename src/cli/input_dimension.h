#pragma once

#include <cstdint>
#include <vector>

#include "cli/dimension_question.h"
#include "report/linear_head.h"

namespace lowrank {

/// Options of the search among projections of the inputs.
struct InputDimensionOptions {
  LinearHeadOptions head;
  int64_t draws = 5, batch_size = 32, seed = 0;

  std::vector<Field> fields();
};

/// How far a frozen model's features of labelled texts can be projected at random, X' = X R with R [d, k] of
/// N(0, 1/k), until a linear head on X' loses more than a share of what it reaches on X. Features: an
/// encoder's embeddings (infer/encode.h), of a decoder the last hidden state at the last token; centred and
/// scaled by one number, both of the training rows. Quality is the mean over `draws` of R. Every k of the
/// ladder 1, 2, 4, ... is tried, then the gap in front of the smallest that suffices is halved. Errors:
/// invalid for features that predict no better than the most frequent class; interrupted.
DimensionReport input_dimension(const DimensionQuestion& question, const InputDimensionOptions& options,
                                nlohmann::ordered_json settings);

}  // namespace lowrank
