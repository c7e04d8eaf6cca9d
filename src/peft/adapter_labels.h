#pragma once

#include <filesystem>
#include <optional>

#include "text/labels.h"

namespace lowrank {

/// The labels that an adapter's label head was trained for: what labels.json in its folder says (the keys of
/// a classifier's config.json: model/label_config.h), else as many classes as the head in its file has
/// outputs (one: values). Nothing where the adapter is not for a label head. Errors: corrupt; invalid, the
/// key named.
std::optional<LabelSet> read_adapter_labels(const std::filesystem::path& path);

/// Writes labels.json. Errors: io.
void write_adapter_labels(const std::filesystem::path& folder, const LabelSet& labels);

}  // namespace lowrank
