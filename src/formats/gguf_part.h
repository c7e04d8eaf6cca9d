#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/mmap_file.h"
#include "formats/gguf_layout.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// One metadata value. Numbers are widened; strings and arrays of strings point into the mapping.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string_view, std::vector<bool>,
                               std::vector<int64_t>, std::vector<double>, std::vector<std::string_view>>;

/// A key as stored in its file. `value` is what follows the type number: a number, length and text, or an
/// array's type, length and values. Points into the mapping.
struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::u8;
  std::span<const std::byte> value;
};

/// One mapped GGUF file, version 2 or 3, little endian: a model, or a part of a split one. Every count,
/// length and offset is checked against the file's size before it is used.
struct GgufPart {
  MmapFile file;
  std::vector<GgufEntry> entries;  ///< in the order of the file
  std::unordered_map<std::string_view, GgufValue> metadata;
  std::vector<StoredTensor> tensors;  ///< in the order of their bytes

  /// Errors: as MmapFile::open; corrupt, with the byte offset or the name; unsupported for other versions and
  /// for tensor types that cannot be read. Duplicate tensor names are accepted here.
  static GgufPart open(const std::filesystem::path& path);

  /// The value of a key as int64_t, double, bool, std::string, or a vector of std::string_view, int64_t or
  /// double; nothing if the key is absent. Errors: invalid when it has another type or does not fit.
  template <typename T>
  std::optional<T> find(std::string_view key) const;

  /// As `find`. Errors: also invalid if the key is absent.
  template <typename T>
  T get(std::string_view key) const {
    std::optional<T> value = find<T>(key);
    if (!value) fail_missing(key);
    return *std::move(value);
  }

  /// Errors: invalid, always, naming the file and the key.
  [[noreturn]] void fail_missing(std::string_view key) const;
};

}  // namespace lowrank
