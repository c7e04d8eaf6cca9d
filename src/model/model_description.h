#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "formats/gguf.h"
#include "model/spec.h"

namespace lowrank {

struct FamilyInfo;

/// What a model is, without its weights.
struct ModelDescription {
  const FamilyInfo* family = nullptr;
  ModelSpec spec;
  std::optional<GgufFile> gguf;  ///< of a GGUF file
};

/// Reads a folder's config.json, or opens a GGUF file. `labels`: those of the label head that the model is to
/// have. Errors: not_found for what is no model; those of the family's configuration; unsupported for an
/// architecture without a family, and for labels where the family has no label head.
ModelDescription open_description(const std::filesystem::path& path, const std::optional<LabelSet>& labels);

/// Why a model of an unknown kind is refused (defined in model/nearest): unsupported, naming the family whose
/// model is nearest by configuration, names and shapes, and what differs. `kind`: its model_type or
/// general.architecture. `config`: a folder's config.json; null for a GGUF file, which `gguf` then is.
Error unknown_model(const std::filesystem::path& path, std::string_view kind, const nlohmann::json& config,
                    const GgufFile* gguf);

}  // namespace lowrank
