#pragma once

#include <filesystem>
#include <optional>

#include "peft/adapter_contents.h"
#include "peft/adapter_file.h"

// Some methods train an encoder, of which PEFT's file keeps only what it gives (P-tuning's prompt, the
// projected prefix). So that training can go on, its parameters stand in `encoder_state.safetensors` beside
// that file, under PEFT's names inside the encoder (`embedding.weight`, `mlp_head.0.weight`, ...).
namespace lowrank {

/// Where the folder has the encoder's parameters, puts them into `contents` and takes out (and returns) the
/// tensor that the encoder gives; else tells the method that there is no encoder. Before `Method::plan`.
std::optional<StoredTensor> read_encoder_state(const std::filesystem::path& folder, Method& method,
                                               AdapterContents& contents);

/// Errors: invalid when the encoder does not give the tensor that PEFT's file holds.
void check_encoded(const StoredTensor& stored, const Adapter& adapter, const std::string& where);

/// Writes the encoder's parameters, where the method has one. Errors: io; invalid when a value is not finite.
void write_encoder_state(const std::filesystem::path& folder, const Adapter& adapter);

}  // namespace lowrank
