#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peft/merge/undone.h"
#include "session/merge_files.h"

namespace lowrank {

/// A model against the one it should be equal to, value by value.
struct ValueComparison {
  int64_t values = 0;
  int64_t different = 0;
  double largest = 0;  ///< largest absolute difference
};

/// The values of all tensors that both models have, in f32. Errors: invalid, naming the tensors that one
/// lacks or that have other shapes.
ValueComparison compare_values(const Checkpoint& one, const Checkpoint& other);

struct UndoneMerge {
  MergeResult result;
  UndoneRounding rounding;
  std::optional<ModelDifference> difference;  ///< of the merged model's logits and those of what was written
                                              ///< with the adapter; with `check`
  std::optional<ValueComparison> original;    ///< if the original was given
};

/// Takes an adapter out of the model that it was merged into (`options.files.model`) and writes what is left
/// to `options.files.merged`. `original`: the base that was merged, to compare with; empty: none. Errors: as
/// merge_files; unsupported, with the reason, for methods that cannot be inverted.
UndoneMerge undo_merge(MergeOptions options, const std::string& original);

}  // namespace lowrank
