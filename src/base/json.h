#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lowrank {

/// Parses strict JSON: no comments, no byte order mark, no duplicate keys, no numbers beyond f64, at most
/// `max_depth` nested values, the text consumed whole. `where` names the source in errors. Errors: corrupt,
/// with the offset.
nlohmann::json parse_json(std::string_view text, std::string_view where, int max_depth = 64);

/// Parses a whole file. Errors: as MmapFile::open and parse_json; corrupt when it is larger than `max_bytes`.
nlohmann::json read_json_file(const std::filesystem::path& path, int64_t max_bytes);

}  // namespace lowrank
