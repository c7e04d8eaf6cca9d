#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lowrank {

/// The commit in a file of a cached repository's refs/; nothing if there is no such file. Errors: corrupt for
/// other contents.
std::optional<std::string> commit_in(const std::filesystem::path& reference);

/// The GGUF files of a snapshot, a folder snapshots/COMMIT, as paths within it and by name; of a split file
/// the first part.
std::vector<std::string> gguf_files_of(const std::filesystem::path& snapshot);

/// What a snapshot lacks to be used as a model or an adapter, as a clause; empty: nothing. `has_gguf`:
/// whether it has a GGUF file, which needs no others. Errors: as read_json_file, and corrupt, for its index
/// of shards.
std::string missing_of(const std::filesystem::path& snapshot, bool has_gguf);

}  // namespace lowrank
