#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace lowrank {

/// The keys of a GGUF file to be written: an ordered list of typed values, kept as their bytes, so that keys
/// copied from a file keep their type, order and bits whatever they are.
class GgufMetadata {
 public:
  struct Entry {
    std::string key;
    GgufType type = GgufType::u8;
    std::string value;  ///< as GgufEntry::value
  };

  GgufMetadata() = default;
  /// All keys of a model, unchanged; without the split.* keys if it came in several parts.
  explicit GgufMetadata(const GgufFile& file);

  /// Each of these replaces the key's value in place, whatever its type was, or appends the key. `set_number`
  /// takes (u)int8_t to (u)int64_t, float and double, and stores that type. Errors: invalid for keys that are
  /// empty or longer than 65535 bytes.
  template <typename T>
  void set_number(std::string_view key, T value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  template <typename T>
  void set_numbers(std::string_view key, std::span<const T> values);
  void set_bools(std::string_view key, const std::vector<bool>& values);
  void set_strings(std::string_view key, std::span<const std::string> values);

  /// False if there was no such key.
  bool remove(std::string_view key);

  const std::vector<Entry>& entries() const { return entries_; }
  /// nullptr if there is no such key.
  const Entry* find(std::string_view key) const;

  /// general.alignment, 32 without that key. Errors: invalid, naming `where`, when it is not a u32 that is a
  /// power of two up to 2^20.
  uint64_t alignment(std::string_view where) const;

 private:
  void set(std::string_view key, GgufType type, std::string value);

  std::vector<Entry> entries_;
};

}  // namespace lowrank
