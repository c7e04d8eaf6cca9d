#pragma once

#include <cstdint>
#include <vector>

#include "study/dimension_question.h"
#include "study/linear_head.h"

namespace lowrank {

/// Options of the search among projections of the inputs.
struct InputDimensionOptions {
  LinearHeadOptions head;
  int64_t draws = 5, batch_size = 32, seed = 0;

  std::vector<Field> fields();
};

/// The smallest k to which a frozen model's features of labelled texts can be projected at random, X' = X R
/// with R [d, k] of N(0, 1/k), such that a linear head on X' keeps a given share of the quality it reaches on
/// X. Features: an encoder's embeddings (infer/encode.h), or a decoder's last hidden state at the last token;
/// centred and scaled by one number, both computed from the training rows. Quality is the mean over `draws`
/// of R. Every k of the ladder 1, 2, 4, ... is tried, then the gap below the smallest that suffices is
/// bisected. Errors: invalid for features that predict no better than the most frequent class or the mean
/// value; interrupted.
DimensionReport input_dimension(const DimensionQuestion& question, const InputDimensionOptions& options,
                                nlohmann::ordered_json settings);

}  // namespace lowrank
