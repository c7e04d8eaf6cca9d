#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lowrank {

/// A 64-bit fingerprint of what is added, in order; different contents almost certainly have different
/// fingerprints. It is fast (gigabytes per second) but no defence against deliberate collisions.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(int64_t number) { mix(static_cast<uint64_t>(number)); }
  template <class T>
  void add_values(std::span<const T> values) {
    add(std::as_bytes(values));
  }

  /// 16 hexadecimal digits.
  std::string text() const;

 private:
  void mix(uint64_t word);

  uint64_t state_ = 0x243F6A8885A308D3U;  // digits of pi
};

}  // namespace lowrank
