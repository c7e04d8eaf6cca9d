#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/dtype.h"
#include "model/checkpoint.h"
#include "peft/adapter_file.h"
#include "peft/merge_rounding.h"

namespace lowrank {

struct MergeResult {
  int64_t changed = 0;  ///< tensors with the adapter in them
  int64_t tensors = 0;
  bool untied = false;  ///< the head became a tensor of its own
  int64_t bytes = 0;
  int64_t requantised = 0;                    ///< changed tensors that were rounded to blocks again
  int64_t raised = 0;                         ///< those whose own type lost too much
  std::map<std::string, int64_t> types = {};  ///< changed tensors by the type they are written in
  KeptUpdate kept = {};                       ///< of all changed tensors
  /// Files of the base's folder that were not copied (write_description).
  std::vector<std::string> left_out = {};

  /// Counts a changed tensor that was written.
  void count(DType type, const ChangedTensor& values, std::span<const std::byte> bytes);
};

/// Writes a Hugging Face folder (model.safetensors, config.json, tokenizer.json, …) of the base with the
/// adapter in its weights: each changed tensor is computed in f32 and rounded once; the others keep their
/// bits. `type`: of all floating-point tensors; none keeps each stored type, with f32 for block formats.
/// Tensors pass through one by one. Errors: unsupported when the method cannot be merged; invalid when a
/// value, changed or not, is not finite as it is written, or where `output` is a file, a link to nothing, or
/// holds something; io, also when the base was written to meanwhile; interrupted. Nothing is left behind on
/// an error.
MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output);

/// The share of an update that a tensor's own blocks must keep, for `merge_to_gguf`.
inline constexpr double enough_kept = 0.9;

/// Writes a GGUF file from a GGUF base: metadata and untouched tensors keep their bits; changed tensors keep
/// their type where it can be written (formats/quantise.h) and become Q8_0 otherwise, matrices `type` where
/// it is given. Without `type`, a matrix whose own blocks keep less than `least_kept` of the update
/// (KeptUpdate) becomes Q8_0, or F16 where that keeps less, too. `existing`: what becomes of a file of that
/// name; where it is kept, it is an error (invalid). Errors: as merge_to_folder; unsupported for a base that
/// is no GGUF file.
MergeResult merge_to_gguf(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                          const std::filesystem::path& output, double least_kept = 0,
                          Existing existing = Existing::kept);

}  // namespace lowrank
