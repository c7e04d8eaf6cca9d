#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/mmap_file.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// One metadata value. Numbers are widened; strings and arrays of strings point into the mapping.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string_view, std::vector<bool>,
                               std::vector<int64_t>, std::vector<double>, std::vector<std::string_view>>;

/// A mapped GGUF file, version 2 or 3, little endian. Every count, length and offset is held against the
/// file's size before it is used (gguf.md in the ggml repository).
class GgufFile {
 public:
  /// Errors: as MmapFile::open; corrupt, with the byte offset or the name; unsupported for other versions,
  /// tensor types that are not read, and split files.
  static GgufFile open(const std::filesystem::path& path);

  // Moves keep the names in place that the look-up points at; copies would not.
  GgufFile(GgufFile&&) = default;
  GgufFile& operator=(GgufFile&&) = default;
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;
  ~GgufFile() = default;

  const std::filesystem::path& path() const { return file_->path(); }
  /// In the order of their bytes.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find_tensor(std::string_view name) const;

  /// The value of a key as int64_t, double, bool, std::string, or a vector of std::string_view, int64_t or
  /// double; nothing where the key is absent. Errors: invalid when it has another type or does not fit.
  template <typename T>
  std::optional<T> find(std::string_view key) const;

  /// As `find`. Errors: invalid where the key is absent, too.
  template <typename T>
  T get(std::string_view key) const {
    std::optional<T> value = find<T>(key);
    if (!value) fail_missing(key);
    return *std::move(value);
  }

  const std::unordered_map<std::string_view, GgufValue>& metadata() const { return metadata_; }

 private:
  GgufFile() = default;
  [[noreturn]] void fail_missing(std::string_view key) const;
  void read_metadata(class GgufCursor& cursor, uint64_t count);
  void read_tensors(class GgufCursor& cursor, uint64_t count);

  std::shared_ptr<const MmapFile> file_;
  std::unordered_map<std::string_view, GgufValue> metadata_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace lowrank
