#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/dtype.h"
#include "model/checkpoint.h"
#include "peft/files/adapter_file.h"
#include "peft/merge/merge_rounding.h"

namespace lowrank {

struct MergeResult {
  int64_t changed = 0;  ///< tensors with the adapter merged in
  int64_t tensors = 0;
  bool untied = false;  ///< the head became a separate tensor
  int64_t bytes = 0;
  int64_t requantised = 0;                    ///< changed tensors written in a block format
  int64_t raised = 0;                         ///< those that lost too much in their own type and got another
  std::map<std::string, int64_t> types = {};  ///< changed tensors by the type they are written in
  KeptUpdate kept = {};                       ///< over all changed tensors
  /// Files of the base's folder that were not copied (write_description).
  std::vector<std::string> left_out = {};

  /// Counts a changed tensor that was written.
  void count(DType type, const ChangedTensor& values, std::span<const std::byte> bytes);
};

/// Writes a Hugging Face folder (model.safetensors, config.json, tokenizer.json, …) of the base with the
/// adapter merged into its weights: each changed tensor is computed in f32 and rounded once; the others keep
/// their bits. `type`: of all tensors written; none keeps each stored type, except f32 for block formats.
/// Tensors are processed one by one. Errors: unsupported when the method cannot be merged; invalid when a
/// value, changed or not, is not finite as it is written, or when `output` is a file, a dangling link, or not
/// empty; io, also when the base was modified meanwhile; interrupted. Nothing is left behind on an error.
MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output);

/// The share of an update that a tensor's own block format must keep, for `merge_to_gguf`.
inline constexpr double enough_kept = 0.9;

/// Writes a GGUF file from a GGUF base: metadata and untouched tensors keep their bits; changed tensors keep
/// their type if it can be written (formats/quantise.h) and otherwise become Q8_0, or F16 if their rows do
/// not fill its blocks; matrices become `type` if it is given. Without `type`, a matrix whose own block
/// format keeps less than `least_kept` of the update (KeptUpdate) becomes Q8_0, or F16 if Q8_0 also keeps
/// less. `existing`: whether an existing file of that name is replaced; if it is kept, that is an error
/// (invalid). Errors: as merge_to_folder; unsupported for a base that is not a GGUF file.
MergeResult merge_to_gguf(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                          const std::filesystem::path& output, double least_kept = 0,
                          Existing existing = Existing::kept);

}  // namespace lowrank
