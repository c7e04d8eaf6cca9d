#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::test {

/// Bytes of a GGUF file, assembled by hand so that every part can be wrong.
class GgufBytes {
 public:
  /// GGUF's type numbers of metadata values.
  enum Type : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

  /// "GGUF", version, counts.
  GgufBytes(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    bytes_ = "GGUF";
    put(version).put(tensors).put(keys);
  }

  /// A little-endian number.
  template <typename T>
  GgufBytes& put(T number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
    return *this;
  }
  GgufBytes& text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  /// A key with a number of this type.
  template <typename T>
  GgufBytes& key(std::string_view name, Type type, T number) {
    return text(name).put<uint32_t>(type).put(number);
  }
  GgufBytes& key(std::string_view name, std::string_view value) {
    return text(name).put<uint32_t>(string).text(value);
  }
  /// A key with an array's header; its values follow.
  GgufBytes& array_of(std::string_view name, uint32_t type, uint64_t count) {
    return text(name).put<uint32_t>(array).put(type).put(count);
  }
  /// A tensor's entry, innermost dimension first.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type,
                    uint64_t offset) {
    text(name).put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t extent : shape) put(extent);
    return put(type).put(offset);
  }
  /// Zeros up to the alignment, then `count` data bytes.
  std::string with_data(size_t count, size_t alignment = 32) const {
    std::string all = bytes_;
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + std::string(count, '\x3C');
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace lowrank::test
