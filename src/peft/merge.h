#pragma once

#include <filesystem>
#include <optional>

#include "formats/dtype.h"
#include "model/checkpoint.h"
#include "peft/adapter_file.h"

namespace lowrank {

struct MergeResult {
  int64_t changed = 0;  ///< tensors with the adapter in them
  int64_t tensors = 0;
  bool untied = false;  ///< the head became a tensor of its own
  int64_t bytes = 0;
};

/// Writes a Hugging Face folder (model.safetensors, config.json, tokenizer.json, …) of the base with the
/// adapter in its weights: each changed tensor is computed in f32 and rounded once; the others keep their
/// bits. `type`: of all floating-point tensors; none keeps each stored type, with f32 for block formats.
/// Tensors pass through one by one. Errors: unsupported when the method cannot be merged; invalid when a
/// result is not finite; io. Nothing is left behind on an error.
MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output);

}  // namespace lowrank
