#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/atomic_file.h"
#include "model/checkpoint.h"
#include "peft/files/adapter_contents.h"
#include "peft/files/adapter_file.h"

// A GGUF LoRA, as llama.cpp loads it beside a base: general.type "adapter", adapter.type "lora",
// general.architecture of the base, adapter.lora.alpha, and for each adapted tensor NAME of the base
// NAME.lora_a (A, [r, in]; for the embedding A^T, [V, r]) and NAME.lora_b (B, [out, r], rows in llama.cpp's
// rotary order if the base's are). llama.cpp computes W x + alpha / r B A x; alpha 0 means a factor of 1.
namespace lowrank {

/// Errors: unsupported, naming everything the planned method trains on this model that a GGUF LoRA cannot
/// hold. `where` begins the message.
void check_gguf_lora(const ModelSpec& spec, const Method& method, const std::string& where);

struct GgufLoraResult {
  int64_t modules = 0;
  int64_t bytes = 0;
};

/// Writes the adapter as a GGUF LoRA in f32. The file has one alpha for all modules; where a module's alpha
/// differs (rsLoRA with several ranks, patterns), the quotient is multiplied into its B. An existing file is
/// replaced once the new one is complete, or kept (an error, invalid). Errors: as check_gguf_lora; invalid
/// when a value is not finite; io.
GgufLoraResult write_gguf_lora(const Checkpoint& base, const Adapter& adapter,
                               const std::filesystem::path& path, Existing existing = Existing::replaced);

/// Reads such a file, written here or by llama.cpp's convert_lora_to_gguf.py. Errors: invalid, listing all
/// missing, unexpected and misshapen tensors; unsupported for other kinds of files and adapters; corrupt.
AdapterContents read_gguf_lora(const std::filesystem::path& path, const ModelSpec& spec);

}  // namespace lowrank
