#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lowrank {

/// True for a folder with one of the files of adapters, and for a GGUF file that is an adapter or cannot be
/// read.
bool looks_like_adapter(const std::filesystem::path& path);

/// The adapters at a place: the place itself, or those in the folder, by name. Errors: not_found; io.
std::vector<std::filesystem::path> adapters_at(const std::string& place);

}  // namespace lowrank
