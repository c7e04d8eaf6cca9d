#pragma once

#include <filesystem>
#include <optional>

#include "peft/files/adapter_contents.h"
#include "peft/files/adapter_file.h"

// Some methods train an encoder, but PEFT's file keeps only its output (P-tuning's prompt, the projected
// prefix). So that training can continue, its parameters are saved in `encoder_state.safetensors` beside that
// file, under PEFT's names inside the encoder (`embedding.weight`, `mlp_head.0.weight`, ...).
namespace lowrank {

/// If the folder has the encoder's parameters, adds them to `contents` and removes (and returns) the tensor
/// that the encoder computes; otherwise tells the method that there is no encoder. Before `Method::plan`.
std::optional<StoredTensor> read_encoder_state(const std::filesystem::path& folder, Method& method,
                                               AdapterContents& contents);

/// Errors: invalid when the encoder does not compute the tensor that PEFT's file holds.
void check_encoded(const StoredTensor& stored, const Adapter& adapter, const std::string& where);

/// Writes the encoder's parameters, if the method has one. Errors: io; invalid when a value is not finite.
void write_encoder_state(const std::filesystem::path& folder, const Adapter& adapter);

}  // namespace lowrank
