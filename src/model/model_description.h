#pragma once

#include <filesystem>
#include <optional>

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

}  // namespace lowrank
