#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "fuzz/target.h"

namespace lowrank::fuzz {

/// A GGUF file with some numbers of its header changed, which holds counts, lengths, types and extents.
inline std::string changed_gguf(std::string_view input, Mutation& mutation, size_t head = 3500) {
  static constexpr std::array<uint64_t, 12> odd = {
      0, 1, 2, 3, 4, 8, 16, 32, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}};
  std::string file(input);
  head = std::min(head, file.size());
  if (head < 64 || mutation.once_in(8)) return mutation.changed(std::move(file), 64);
  for (size_t times = 1 + mutation.below(4); times > 0; --times) {
    const size_t at = mutation.once_in(16) ? 4 + mutation.below(20) : 24 + mutation.below(head - 32);
    const uint64_t number = odd[mutation.below(odd.size())];
    switch (mutation.below(6)) {
      case 0:
        std::memcpy(&file[at], &number, 4);
        break;
      case 1:
        std::memcpy(&file[at], &number, 8);
        break;
      case 2:
        file[at] = static_cast<char>(mutation.below(256));
        break;
      case 3:
        file[at] = static_cast<char>(file[at] ^ (1 << mutation.below(8)));
        break;
      default:
        file[at] = static_cast<char>(file[at] + (mutation.once_in(2) ? 1 : -1));
    }
  }
  return file;
}

}  // namespace lowrank::fuzz
