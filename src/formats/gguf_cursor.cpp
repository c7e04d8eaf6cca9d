#include "formats/gguf_cursor.h"

#include "base/one_line.h"

namespace lowrank {
namespace {

/// Once read, a value can take 16 times its size in the file, so the file's size does not bound the memory.
/// Vocabularies have under 2^20 tokens.
constexpr uint64_t max_array_values = 1 << 24;

using enum GgufType;

/// Minimum bytes of one array value; 0 for types that do not exist.
uint64_t least_bytes(uint32_t type) {
  constexpr uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < std::size(sizes) ? sizes[type] : 0;
}

}  // namespace

void GgufCursor::need(uint64_t count, std::string_view what) const {
  if (count > remaining()) {
    fail(ErrorKind::corrupt, "{}: the file ends at byte {} inside {}", where_, bytes_.size(), one_line(what));
  }
}

std::string_view GgufCursor::string(std::string_view what) {
  const auto length = number<uint64_t>(what);
  if (length > remaining()) {
    fail(ErrorKind::corrupt, "{}: byte {}: a string of {} bytes in {} ends beyond the file", where_,
         offset_ - 8, length, one_line(what));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + offset_, length);
  offset_ += length;
  return text;
}

GgufValue GgufCursor::scalar(uint32_t type, std::string_view key) {
  switch (static_cast<GgufType>(type)) {
    case u8:
      return static_cast<int64_t>(number<uint8_t>(key));
    case i8:
      return static_cast<int64_t>(number<int8_t>(key));
    case u16:
      return static_cast<int64_t>(number<uint16_t>(key));
    case i16:
      return static_cast<int64_t>(number<int16_t>(key));
    case u32:
      return static_cast<int64_t>(number<uint32_t>(key));
    case i32:
      return static_cast<int64_t>(number<int32_t>(key));
    case f32:
      return static_cast<double>(number<float>(key));
    case boolean: {
      const auto value = number<uint8_t>(key);
      if (value > 1) {
        fail(ErrorKind::corrupt, "{}: byte {}: the key {} is neither true nor false", where_, offset_ - 1,
             in_quotes(key));
      }
      return value == 1;
    }
    case text:
      return string(key);
    case u64:
      return number<uint64_t>(key);
    case i64:
      return number<int64_t>(key);
    case f64:
      return number<double>(key);
    default:
      fail(ErrorKind::corrupt, "{}: byte {}: the key {} has the unknown type {}", where_, offset_ - 4,
           in_quotes(key), type);
  }
}

GgufValue GgufCursor::array(std::string_view key) {
  const auto number_of_type = number<uint32_t>(key);
  const auto type = static_cast<GgufType>(number_of_type);
  const auto count = number<uint64_t>(key);
  const uint64_t least = least_bytes(number_of_type);
  check(type != list && least > 0, ErrorKind::corrupt,
        "{}: byte {}: the key {} is an array of the {} type {}", where_, offset_ - 12, in_quotes(key),
        type == list ? "unsupported" : "unknown", number_of_type);
  check(count <= remaining() / least, ErrorKind::corrupt,
        "{}: byte {}: the array {} of {} values ends beyond the file", where_, offset_ - 8, in_quotes(key),
        count);
  array_values_ += count;
  check(array_values_ <= max_array_values, ErrorKind::corrupt,
        "{}: byte {}: with the array {} of {} values there are more than {} in arrays", where_, offset_ - 8,
        in_quotes(key), count, max_array_values);
  std::vector<bool> flags;
  std::vector<int64_t> wholes;
  std::vector<double> reals;
  std::vector<std::string_view> strings;
  for (uint64_t i = 0; i < count; ++i) {
    const GgufValue value = scalar(number_of_type, key);
    if (const auto* whole = std::get_if<int64_t>(&value)) wholes.push_back(*whole);
    if (const auto* large = std::get_if<uint64_t>(&value)) {
      if (*large > INT64_MAX) {
        fail(ErrorKind::corrupt, "{}: the array {} holds {}, beyond 2^63", where_, in_quotes(key), *large);
      }
      wholes.push_back(static_cast<int64_t>(*large));
    }
    if (const auto* real = std::get_if<double>(&value)) reals.push_back(*real);
    if (const auto* flag = std::get_if<bool>(&value)) flags.push_back(*flag);
    if (const auto* string = std::get_if<std::string_view>(&value)) strings.push_back(*string);
  }
  if (type == text) return strings;
  if (type == f32 || type == f64) return reals;
  if (type == boolean) return flags;
  return wholes;
}

GgufValue GgufCursor::value(std::string_view key) {
  const auto type = number<uint32_t>(key);
  check(key != "general.alignment" || type == static_cast<uint32_t>(u32), ErrorKind::corrupt,
        "{}: byte {}: general.alignment has the type {} where u32 is expected", where_, offset_ - 4, type);
  return type == static_cast<uint32_t>(list) ? array(key) : scalar(type, key);
}

}  // namespace lowrank
