#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "peft/core/method.h"
#include "peft/files/adapter_contents.h"

namespace lowrank {

/// The files of one adapter of AdapterHub's library `adapters`, of a fusion of several, and of a head trained
/// with either.
inline constexpr AdapterFileNames adapterhub_files{"adapter_config.json", "adapter.safetensors", "model_name",
                                                   false, "adapters"};
inline constexpr AdapterFileNames fusion_files{
    "adapter_fusion_config.json", "model_adapter_fusion.safetensors", "model_name", false, "adapters"};

inline constexpr AdapterFileNames head_files{"head_config.json", "model_head.safetensors", "model_name",
                                             false, "adapters"};

/// True when the folder holds a label head.
bool has_head(const std::filesystem::path& folder);

/// True when the folder holds an adapter or a fusion of AdapterHub.
bool is_adapterhub_folder(const std::filesystem::path& folder);

/// Reads such a folder with its head; for a fusion, also the tensors of its members. The model's optional
/// prefix is added to names that lack it. Errors: corrupt; not_found; unsupported for pickled adapters.
AdapterContents read_adapterhub_folder(const std::filesystem::path& folder, const ModelSpec& spec);

/// The same for an adapter alone, without its head.
AdapterContents read_member(const std::filesystem::path& folder, const ModelSpec& spec);

/// adapter_config.json of a member's folder. Errors: not_found, corrupt.
nlohmann::json read_member_config(const std::filesystem::path& folder);

/// The folder of the member `name` of the fusion in `folder`: inside it, or beside it. Errors: not_found.
std::filesystem::path member_folder(const std::filesystem::path& folder, const std::string& name);

/// The configuration as `adapters` 1.3.0 wraps it, without the base model's name.
nlohmann::json adapterhub_config(const nlohmann::json& config, const ModelSpec& spec,
                                 const std::string& name);

/// The adapter's name in its configuration. Errors: invalid if there is none.
std::string read_adapter_name(const nlohmann::json& config, const std::string& where);

/// Checks an adapter's name, which is part of its tensors' names. Errors: invalid when it is empty or holds a
/// dot, a comma or a slash.
void check_adapter_name(const std::string& name, const std::string& where);

}  // namespace lowrank
