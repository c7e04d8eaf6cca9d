#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A YAML mapping as JSON; plain scalars that read as null, booleans or numbers become those. A nested
/// mapping to numbers whose keys are not sorted becomes a list of [key, number] pairs, which keeps their
/// order. Errors: not_found; corrupt, with the line; invalid when it is not a mapping, gives a key twice,
/// nests too deep, or holds more than 100,000 values or 16 MB of text with its aliases expanded.
nlohmann::json read_yaml(const std::filesystem::path& path);

}  // namespace lowrank
