#include "base/fingerprint.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace lowrank {

void Fingerprint::mix(uint64_t word) {
  constexpr uint64_t odd = 0x9E3779B97F4A7C15U;
  constexpr int half = 32;
  state_ = (std::rotl(state_, half) ^ word) * odd;
}

void Fingerprint::add(std::span<const std::byte> bytes) {
  // The length first, so that what follows is never taken for a part of it.
  mix(bytes.size());
  uint64_t word = 0;
  for (; bytes.size() >= sizeof word; bytes = bytes.subspan(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    mix(word);
  }
  if (bytes.empty()) return;
  word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  mix(word);
}

std::string Fingerprint::text() const {
  Fingerprint last = *this;
  last.mix(0);
  last.mix(0);
  return fmt::format("{:016x}", last.state_);
}

}  // namespace lowrank
