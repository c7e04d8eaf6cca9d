#pragma once

#include <filesystem>
#include <optional>

namespace lowrank {

/// The real path of the file `name` in a model's folder. Links may stay in the folder or lead to the blobs of
/// a Hugging Face cache, as those of its snapshots do (snapshots/<revision>/x -> ../../blobs/y) and those of
/// `huggingface-cli download --local-dir` did (x -> .../models--OWNER--NAME/blobs/y); nothing for a link that
/// leads elsewhere or a missing file.
std::optional<std::filesystem::path> file_in_model(const std::filesystem::path& folder,
                                                   const std::filesystem::path& name);

}  // namespace lowrank
