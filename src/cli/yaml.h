#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A YAML mapping as JSON; plain scalars become null, booleans and numbers where they read as such. Errors:
/// not_found; corrupt, with the line; invalid when it is no mapping,
/// gives a key twice, nests too deep, or holds more than 100,000 values or 16 MB of text with its aliases
/// expanded.
nlohmann::json read_yaml(const std::filesystem::path& path);

}  // namespace lowrank
