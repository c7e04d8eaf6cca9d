#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mmap_file.h"
#include "formats/tensor_file.h"

namespace lowrank {

/// A mapped safetensors file: u64 header length, JSON header, tensor bytes. Checked against the rules of the
/// Rust library (header at most 100,000,000 bytes, known types, tensors that cover the data without gap or
/// overlap) and the stricter ones of the format's description: the header starts with `{`, and no name
/// appears twice.
class SafetensorsFile {
 public:
  /// Errors: as MmapFile::open; corrupt, with the key or offset; unsupported for unknown types.
  static SafetensorsFile open(const std::filesystem::path& path);

  // Moves keep in place the names that the look-up points to; copies would not.
  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  ~SafetensorsFile() = default;

  const std::filesystem::path& path() const { return file_->path(); }
  /// In the order of their bytes.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// As MmapFile::forget_pages.
  void forget_pages() const { file_->forget_pages(); }
  /// As MmapFile::check_unchanged.
  void check_unchanged() const { file_->check_unchanged(); }
  const StoredTensor* find(std::string_view name) const;
  /// The header's `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;

  std::shared_ptr<const MmapFile> file_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lowrank
