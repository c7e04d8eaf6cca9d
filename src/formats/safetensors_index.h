#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/safetensors.h"

namespace lowrank {

/// The weights of a Hugging Face folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names, as one list.
class SafetensorsIndex {
 public:
  /// If both exist, the single file is used, as in transformers. If the index and the shards disagree on
  /// where tensors are, the shards win, and `notes` reports it. Errors: not_found when the folder has neither
  /// or a shard is missing; invalid when a shard is a link out of the folder (links into the blobs of a
  /// Hugging Face cache are allowed); corrupt when the index names a file in another folder, or two shards
  /// hold a tensor that it places in neither.
  static SafetensorsIndex open(const std::filesystem::path& folder);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// As MmapFile::forget_pages.
  void forget_pages() const {
    for (const SafetensorsFile& file : files_) file.forget_pages();
  }
  /// As MmapFile::check_unchanged.
  void check_unchanged() const {
    for (const SafetensorsFile& file : files_) file.check_unchanged();
  }
  const StoredTensor* find(std::string_view name) const;
  /// What was read differently from what the index says, for messages.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void add(const StoredTensor& tensor);
  void add_shards(const std::filesystem::path& folder, const std::filesystem::path& path);

  std::vector<SafetensorsFile> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<std::string> notes_;
};

}  // namespace lowrank
