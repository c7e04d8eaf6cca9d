#pragma once

#include <filesystem>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/safetensors.h"

namespace lowrank {

/// The weights of a Hugging Face folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names, as one list.
class SafetensorsIndex {
 public:
  /// Errors: not_found when the folder has neither; corrupt when the index names a file outside the folder, a
  /// tensor lies in another shard than it says, or a shard holds a tensor that it does not name.
  static SafetensorsIndex open(const std::filesystem::path& folder);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;

 private:
  void add(SafetensorsFile file);
  void add_shards(const std::filesystem::path& folder, const std::filesystem::path& index);

  std::vector<SafetensorsFile> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace lowrank
