#pragma once

#include <string>
#include <vector>

#include "peft/conversion/as_low_rank.h"

namespace lowrank {

/// How a difference of two models becomes a LoRA.
struct ExtractionChoice {
  RankChoice rank;                                ///< of each module; one of the two is set
  std::vector<std::string> modules_to_save = {};  ///< parts of the model stored in full (`tensors_to_save`)
  std::string bias = "none";                      ///< biases stored in full (`biases_to_train`)
  bool embeddings = false;                        ///< also an update of the embedding
};

/// A tensor that differs and that the LoRA leaves as it is.
struct LeftDifference {
  std::string name;
  double size = 0;     ///< norm of the difference
  double share = 0;    ///< the same as a share of the base tensor's norm
  double largest = 0;  ///< largest absolute value
};

struct Extraction {
  Adapter adapter;  ///< a LoRA of the base
  std::vector<FittedModule> modules;
  std::vector<std::string> whole;    ///< tensors stored in full
  std::vector<LeftDifference> left;  ///< in the model's order
  int64_t same = 0;                  ///< linear layers whose weights are equal
};

/// The update that turns one model into another: for each linear layer whose weights differ, the best
/// low-rank approximation of the difference, one tensor at a time. Both may be in any file form; a tied head
/// counts as its embedding where both are tied. Errors: invalid, listing all tensors that one model lacks or
/// that have other shapes; when the models are equal in all linear layers; when a value is not finite; as
/// Method::plan of lora; interrupted.
Extraction extract_low_rank(const Checkpoint& base, const Checkpoint& tuned, const ExtractionChoice& choice,
                            const ConversionProgress& progress = {});

}  // namespace lowrank
