#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lowrank {

/// Bounds on what is built from a text, which takes many times the text's memory.
struct JsonLimits {
  int depth = 64;              ///< nesting of objects and arrays
  int64_t values = 8'000'000;  ///< numbers, strings, objects, arrays, …, keys not counted
  int64_t keys = 8'000'000;    ///< in one object
};

/// Parses strict JSON (RFC 8259): UTF-8 without byte order mark, no comments, no duplicate keys, no numbers
/// beyond f64, the whole text consumed. `where` names the source in errors. Errors: corrupt, with line and
/// column or the key.
nlohmann::json parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});

/// The same with keys in the order of the text, and with numbers that would print differently from a double
/// or a 64-bit integer (1.10, 1e3, very large ones) kept as binary values that hold their text. Looking up a
/// key takes time linear in the object's size, so `limits.keys` should be small.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view where,
                                          JsonLimits limits = {});

/// JSON as UTF-8 text, on one line or indented by `indent` spaces. Bytes that are not UTF-8 become U+FFFD:
/// model output need not be valid text.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The value as an integer; `key` and `where` name it in errors. Errors: corrupt when it is not a whole
/// number of 64 bits.
int64_t json_integer(const nlohmann::json& value, std::string_view key, std::string_view where);

/// Parses a whole file. Errors: as MmapFile::open and parse_json; corrupt when it is larger than `max_bytes`.
nlohmann::json read_json_file(const std::filesystem::path& path, int64_t max_bytes, JsonLimits limits = {});

}  // namespace lowrank
