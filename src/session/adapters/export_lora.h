#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "session/merge_check.h"

namespace lowrank {

struct ExportedLora {
  int64_t modules = 0;
  int64_t bytes = 0;
  std::optional<ModelDifference> difference =
      {};                                      ///< of the logits with the file from those with the adapter
  std::optional<ModelDifference> effect = {};  ///< of the base's logits from those with the adapter
};

/// Writes an adapter as a GGUF LoRA to a new file. With `checked` the file is read back and the logits with
/// it are compared with those of base and adapter, in f32; a file that computes something else is removed.
/// Errors: as open_told, load_told_adapter and write_gguf_lora; invalid for such a file, with the distances.
ExportedLora export_gguf_lora(const std::string& model, const std::string& adapter, const std::string& output,
                              bool checked);

/// Removes the file and fails (invalid) if its logits are farther from the adapter's than rounding explains.
void keep_if_same(const std::string& output, const ModelDifference& difference,
                  const ModelDifference& effect);

}  // namespace lowrank
