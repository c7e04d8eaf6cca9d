#pragma once

#include <filesystem>

#include "model/spec.h"
#include "peft/files/adapter_contents.h"

namespace lowrank {

/// The file that identifies an mlx-lm folder.
inline constexpr const char* mlx_tensors_name = "adapters.safetensors";

/// Reads a LoRA adapter that mlx-lm wrote: adapter_config.json (fine_tune_type, num_layers, lora_parameters
/// with rank, scale, dropout, keys) and adapters.safetensors (MODULE.lora_a, A^T [in, r], and MODULE.lora_b,
/// B^T [r, out]); y = W x + scale B A x. On a tied embedding it also applies to the head, as in mlx-lm.
/// Errors: unsupported for DoRA, whole models, and an alpha that versions of mlx-lm interpret differently;
/// invalid, listing all missing, unexpected and misshapen tensors; corrupt; not_found.
AdapterContents read_mlx_adapter(const std::filesystem::path& folder, const ModelSpec& spec);

}  // namespace lowrank
