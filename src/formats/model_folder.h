#pragma once

#include <filesystem>
#include <optional>

namespace lowrank {

/// Where the file `name` of a model's folder really lies. Links may stay in the folder or, as in the Hugging
/// Face cache (snapshots/<revision>/x -> ../../blobs/y), lead to the blobs beside it; nothing for a link that
/// leads elsewhere and for a file that is not there.
std::optional<std::filesystem::path> file_in_model(const std::filesystem::path& folder,
                                                   const std::filesystem::path& name);

}  // namespace lowrank
