#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/files/side_by_side.h"
#include "study/dimension_question.h"
#include "train/options.h"

namespace lowrank {

/// Options of the search among subspaces of the weights.
struct WeightDimensionOptions {
  std::string method = "said", reference = "full";
  std::optional<double> reference_lr;
  TrainOptions train;

  std::vector<Field> fields();
};

/// The options of a method that trains in a subspace, except for the dimension. Errors: invalid for a method
/// without the option `intrinsic_dimension`.
std::vector<Field> subspace_fields(const ChosenMethod& chosen);

/// The intrinsic dimension of a task (Li et al. 2018, arXiv 1804.08838; Aghajanyan et al. 2020, arXiv
/// 2012.13255, section 3): the reference trains without restriction, then the subspace method with growing
/// dimension, each from the base with the same examples, steps and seed. Quality is accuracy or correlation;
/// for language modelling it is the share of the reference's loss reduction, (base - loss) / (base -
/// reference). `chosen`: the subspace method with its options. Errors: as training; invalid for a reference
/// that does not improve on the base; interrupted, with the results so far in the folder.
DimensionReport weight_dimension(const DimensionQuestion& question, const WeightDimensionOptions& options,
                                 const ChosenMethod& chosen, nlohmann::ordered_json settings);

}  // namespace lowrank
