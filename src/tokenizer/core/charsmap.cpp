#include "tokenizer/core/charsmap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

static_assert(std::endian::native == std::endian::little, "the units are read as they are stored");

constexpr size_t header_bytes = sizeof(uint32_t);
/// XLM-RoBERTa's map has 0.3 MB.
constexpr size_t most_bytes = 16 << 20;
constexpr size_t longest_replacement = 4096;

// Fields of a unit.
bool has_leaf(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t value(uint32_t unit) {
  return unit & 0x7FFFFFFF;
}
/// The byte that leads to the unit; a leaf's is no byte.
uint32_t label(uint32_t unit) {
  return unit & (uint32_t{1} << 31 | 0xFF);
}
/// What the position of a unit's children differs by.
size_t offset(uint32_t unit) {
  return size_t{unit >> 10} << ((unit & uint32_t{1} << 9) >> 6);
}

}  // namespace

Charsmap::Charsmap(std::string bytes, const std::string& where) : bytes_(std::move(bytes)) {
  check(bytes_.size() >= header_bytes && bytes_.size() <= most_bytes, ErrorKind::corrupt,
        "{}: the character map has {} bytes, not {} to {}", where, bytes_.size(), header_bytes, most_bytes);
  uint32_t size = 0;
  std::memcpy(&size, bytes_.data(), sizeof size);
  check(size % sizeof(uint32_t) == 0 && size > 0 && size <= bytes_.size() - header_bytes, ErrorKind::corrupt,
        "{}: the character map's trie has {} bytes (at byte 0), but {} follow", where, size,
        bytes_.size() - header_bytes);
  units_ = size / sizeof(uint32_t);
  check_replacements(where);
  check_trie(where);
}

uint32_t Charsmap::unit(size_t index) const {
  uint32_t unit = 0;
  std::memcpy(&unit, bytes_.data() + header_bytes + index * sizeof unit, sizeof unit);
  return unit;
}

std::string_view Charsmap::replacements() const {
  return std::string_view(bytes_).substr(header_bytes + units_ * sizeof(uint32_t));
}

void Charsmap::check_replacements(const std::string& where) const {
  const std::string_view all = replacements();
  const size_t first = bytes_.size() - all.size();
  const std::optional<size_t> malformed = first_malformed(all);
  check(!malformed, ErrorKind::corrupt, "{}: the character map's replacements are not UTF-8 at byte {}",
        where, first + malformed.value_or(0));
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\0', begin), all.size());
    check(end - begin <= longest_replacement, ErrorKind::corrupt,
          "{}: the character map has a replacement of {} bytes at byte {}", where, end - begin,
          first + begin);
    begin = end + 1;
  }
}

/// Errors unless the value of this leaf is where a character of the replacements begins, or their end.
void Charsmap::check_value(size_t leaf, const std::string& where) const {
  const std::string_view all = replacements();
  const uint32_t at = value(unit(leaf));
  const bool inside = at < all.size() && (static_cast<uint8_t>(all[at]) & 0xC0) != 0x80;
  check(inside || at == all.size(), ErrorKind::corrupt,
        "{}: the character map's unit at byte {} names a replacement at {}, where none begins", where,
        header_bytes + leaf * sizeof(uint32_t), at);
}

/// Visits every unit that some text leads to, so that no search needs to check its way.
void Charsmap::check_trie(const std::string& where) const {
  std::vector<bool> seen(units_);
  std::vector<size_t> open{0};
  seen[0] = true;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    const size_t children = at ^ offset(unit(at));
    check((children | 0xFF) < units_, ErrorKind::corrupt,
          "{}: the character map's unit at byte {} leads to unit {}, but there are {}", where,
          header_bytes + at * sizeof(uint32_t), children | 0xFF, units_);
    if (has_leaf(unit(at))) check_value(children, where);
    for (uint32_t byte = 1; byte < 256; ++byte) {
      const size_t child = children ^ byte;
      if (seen[child] || label(unit(child)) != byte) continue;
      seen[child] = true;
      open.push_back(child);
    }
  }
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  size_t at = offset(unit(0));
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    at ^= byte;
    const uint32_t here = unit(at);
    if (byte == 0 || label(here) != byte) return std::nullopt;
    at ^= offset(here);
    if (!has_leaf(here)) continue;
    const std::string_view found = replacements().substr(value(unit(at)));
    return found.substr(0, found.find('\0'));
  }
  return std::nullopt;
}

}  // namespace lowrank
