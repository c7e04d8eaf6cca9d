#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/gguf_part.h"

namespace lowrank {

/// Reads the head of a GGUF file front to back; every step is checked against the end of the file.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }
  const std::string& where() const { return where_; }

  /// A little-endian number. Errors: corrupt at the end of the file.
  template <typename T>
  T number(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
    return value;
  }

  /// u64 length, bytes.
  std::string_view string(std::string_view what);
  /// A typed value: u32 type, then the value. `key` names it in errors. Rejected: arrays of arrays, and more
  /// than 2^24 array values in the whole file. `general.alignment` must be a u32, as GGML demands.
  GgufValue value(std::string_view key);

 private:
  void need(uint64_t count, std::string_view what) const;
  GgufValue scalar(uint32_t type, std::string_view key);
  GgufValue array(std::string_view key);

  std::span<const std::byte> bytes_;
  std::string where_;
  uint64_t offset_ = 0;
  uint64_t array_values_ = 0;
};

}  // namespace lowrank
