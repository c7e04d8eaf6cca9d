#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lowrank {

/// Finds things by their hash: a table of open addresses with the numbers of the things, which lie elsewhere.
/// It holds half of each hash, so that what is not there is mostly found out without looking at any thing.
class HashIndex {
 public:
  /// For at most this many things.
  explicit HashIndex(size_t most = 0) : slots_(std::bit_ceil(2 * most + 1)) {}

  /// The number of the thing with this hash for which `is(number)` holds; -1: there is none.
  template <class Is>
  int32_t find(uint64_t hash, const Is& is) const {
    const auto half = static_cast<uint32_t>(hash >> 32);
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.number < 0 || (slot.half == half && is(slot.number))) return slot.number;
    }
  }

  /// Adds a thing that is not there yet.
  void add(uint64_t hash, int32_t number) {
    size_t at = hash & (slots_.size() - 1);
    while (slots_[at].number >= 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {static_cast<uint32_t>(hash >> 32), number};
  }

 private:
  struct Slot {
    uint32_t half = 0;
    int32_t number = -1;
  };
  std::vector<Slot> slots_;  ///< a power of two, at least one of them free
};

}  // namespace lowrank
