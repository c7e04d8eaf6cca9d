#pragma once

#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "peft/core/method.h"
#include "peft/merge/merge_rounding.h"

namespace lowrank {

/// A tensor of a merged model.
struct MergeOutput {
  const TensorRef* tensor = nullptr;
  const TensorRef* source = nullptr;  ///< whose stored values it has: another tensor for a head that was tied
  const TensorRef* changed = nullptr;  ///< the tensor the adapter changes; nullptr: it stays unchanged
};

/// What a merged model consists of.
struct MergePlan {
  std::vector<MergeOutput> outputs;
  int64_t changed = 0;
  bool untied = false;  ///< the head became a separate tensor
};

/// Errors: unsupported when the method changes no weight, or adds a bias to a module that has none.
MergePlan merge_plan(const Checkpoint& base, const Method& method);

/// The output's values in Hugging Face's order, before and after merging; both are the base's if the adapter
/// changes nothing. Errors: unsupported when the method cannot be merged into it; invalid when a value is not
/// finite.
ChangedTensor merged_values(const Checkpoint& base, const Method& method, const MergeOutput& output);

}  // namespace lowrank
