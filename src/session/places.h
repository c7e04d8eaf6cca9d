#pragma once

#include <string>

#include "base/fields.h"

namespace lowrank {

/// The path of the model that a user names: the text itself where something exists at that path, else the
/// place of the model of that name (`OWNER/NAME[@REVISION][:FILE]`) in the Hugging Face cache. Other texts
/// are returned unchanged. Errors: as find_in_hub_cache, for a name that is no path of this machine.
std::string located_model(const std::string& given);

/// Help text of `model`.
inline constexpr const char* model_help =
    "Hugging Face folder, GGUF file, or the name of a model in the Hugging Face cache (ORG/NAME)";

/// The option `model`, whose value becomes the located one.
Field model_field(std::string& model);

/// Fails with not_found if nothing exists at the path of `model`; if it looks like a model's name on the
/// Hugging Face hub, the hint says how to download it.
void check_model_place(const std::string& path);

/// The same for an adapter, also for the folder of a run that has not left one yet.
void check_adapter_place(const std::string& path);

}  // namespace lowrank
