#pragma once

#include <filesystem>
#include <optional>

namespace lowrank {

/// The library `name` that the program loads only when it needs it: the file that the environment variable
/// names, else one beside the program or our library, or in `lowrank` below or ../lib beside it. Nothing if
/// there is none.
std::optional<std::filesystem::path> module_file(const char* name, const char* variable);

}  // namespace lowrank
