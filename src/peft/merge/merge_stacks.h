#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/safetensors_writer.h"
#include "peft/merge/merge.h"
#include "peft/merge/merge_plan.h"

namespace lowrank {

/// A tensor of a merged folder that stacks the matrices (or the biases) of a layer's experts, in the form
/// that transformers has in memory: {experts, rows, columns}, or {experts, columns, rows} where the family
/// stores them transposed.
struct MergedStack {
  StoredTensor declared;                  ///< as it is written
  std::vector<const MergeOutput*> parts;  ///< by expert, and within it by the first row
  const StoredTensor* copied = nullptr;   ///< written with these bytes; null: part by part
};

/// The stacks of a merged folder, for families that are written with stacks.
struct MergedStacks {
  std::vector<MergedStack> stacks;
  bool quantised = false;  ///< some are copied in MXFP4, so the configuration must go on saying so
};

/// True if the folder holds this output in a stack.
bool is_stacked(const MergeOutput& output);

/// The stacks that `plan` makes; none if nothing is stacked. Each has its stored type, `type` if it is given,
/// or f32 for block formats of GGUF. Experts in MXFP4 are copied as they are where the adapter changes none
/// of them; else all become BF16, or `type`, since transformers reads one form only.
MergedStacks merged_stacks(const Checkpoint& base, const MergePlan& plan, std::optional<DType> type);

/// Appends the stack's bytes, one expert after the other, and counts what changed. Errors: as
/// merge_to_folder.
void append_stack(const Checkpoint& base, const Method& method, const MergedStack& stack,
                  SafetensorsWriter& writer, MergeResult& result);

}  // namespace lowrank
