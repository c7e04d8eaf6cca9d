#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/gguf_part.h"

namespace lowrank {

/// A mapped GGUF model: one file, or all parts of a split one (gguf_split.h).
class GgufFile {
 public:
  /// `path` is the file, or any part of a split model. Errors: as GgufPart::open and open_gguf_parts; corrupt
  /// if a tensor appears twice.
  static GgufFile open(const std::filesystem::path& path);

  // Moves keep in place the names that the look-up points to; copies would not.
  GgufFile(GgufFile&&) = default;
  GgufFile& operator=(GgufFile&&) = default;
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;
  ~GgufFile() = default;

  /// For a split model, its first part.
  const std::filesystem::path& path() const { return parts_.front().file.path(); }
  /// Number of files that the model consists of.
  size_t part_count() const { return parts_.size(); }
  /// In the order of their bytes, part by part.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// As MmapFile::forget_pages.
  void forget_pages() const;
  /// As MmapFile::check_unchanged.
  void check_unchanged() const;
  const StoredTensor* find_tensor(std::string_view name) const;

  /// As GgufPart::find and GgufPart::get. The keys of a split model are those of its first part.
  template <typename T>
  std::optional<T> find(std::string_view key) const {
    return parts_.front().find<T>(key);
  }
  template <typename T>
  T get(std::string_view key) const {
    return parts_.front().get<T>(key);
  }
  const std::unordered_map<std::string_view, GgufValue>& metadata() const { return parts_.front().metadata; }
  /// All keys in the order of the file, with type and bytes.
  const std::vector<GgufEntry>& metadata_entries() const { return parts_.front().entries; }

 private:
  GgufFile() = default;

  std::vector<GgufPart> parts_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace lowrank
