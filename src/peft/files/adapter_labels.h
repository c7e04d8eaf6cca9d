#pragma once

#include <filesystem>
#include <optional>

#include "data/labels.h"

namespace lowrank {

/// The labels that an adapter's label head was trained for: from labels.json in its folder (the keys of a
/// classifier's config.json: model/label_config.h), otherwise one class per output of the head in its file (a
/// single output: values). Nothing if the adapter is not for a label head. Errors: corrupt; invalid, naming
/// the key.
std::optional<LabelSet> read_adapter_labels(const std::filesystem::path& path);

/// Writes labels.json. Errors: io.
void write_adapter_labels(const std::filesystem::path& folder, const LabelSet& labels);

}  // namespace lowrank
