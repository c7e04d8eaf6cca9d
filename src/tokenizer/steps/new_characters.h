#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lowrank {

struct CharacterRange {
  uint32_t first, last;
  std::string_view category;  ///< general category, such as Lu
};

/// Characters of Unicode 15 and 16, in order: PCRE2 10.42 knows Unicode 14, the reference's Oniguruma 16.
std::span<const CharacterRange> new_characters();

}  // namespace lowrank
