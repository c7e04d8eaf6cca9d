#include "formats/safetensors_index.h"

#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"

namespace lowrank {
namespace {

constexpr int64_t max_index_bytes = 256 << 20;

std::map<std::string, std::set<std::string>> tensors_by_shard(const std::filesystem::path& index) {
  const nlohmann::json json = read_json_file(index, max_index_bytes);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  check(json.is_object() && map != json.end() && map->is_object() && !map->empty(), ErrorKind::corrupt,
        "{}: no weight_map", index.string());
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, shard] : map->items()) {
    check(shard.is_string(), ErrorKind::corrupt, "{}: weight_map \"{}\" must be a file name", index.string(),
          tensor);
    const std::filesystem::path name = shard.get<std::string>();
    check(!name.empty() && name == name.filename() && name != "." && name != "..", ErrorKind::corrupt,
          "{}: weight_map \"{}\" names {}, which is not a plain file name", index.string(), tensor,
          name.string());
    shards[name.string()].insert(tensor);
  }
  return shards;
}

}  // namespace

SafetensorsIndex SafetensorsIndex::open(const std::filesystem::path& folder) {
  SafetensorsIndex index;
  const std::filesystem::path single = folder / "model.safetensors";
  const std::filesystem::path listing = folder / "model.safetensors.index.json";
  if (std::filesystem::exists(listing)) {
    index.add_shards(folder, listing);
  } else if (std::filesystem::exists(single)) {
    index.add(SafetensorsFile::open(single));
  } else {
    throw Error(ErrorKind::not_found,
                folder.string() + ": neither model.safetensors nor model.safetensors.index.json",
                "pickled checkpoints (.bin, .pt) are never read; convert them to safetensors");
  }
  for (size_t i = 0; i < index.tensors_.size(); ++i) index.by_name_[index.tensors_[i].name] = i;
  return index;
}

void SafetensorsIndex::add(SafetensorsFile file) {
  tensors_.insert(tensors_.end(), file.tensors().begin(), file.tensors().end());
  files_.push_back(std::move(file));
}

void SafetensorsIndex::add_shards(const std::filesystem::path& folder, const std::filesystem::path& index) {
  for (const auto& [shard, names] : tensors_by_shard(index)) {
    const std::filesystem::path path = folder / shard;
    check(std::filesystem::exists(path), ErrorKind::not_found, "{}: the shard {} is missing", index.string(),
          shard);
    SafetensorsFile file = SafetensorsFile::open(path);
    for (const std::string& name : names) {
      check(file.find(name) != nullptr, ErrorKind::corrupt,
            "{}: no tensor \"{}\", which the index places here", path.string(), name);
    }
    for (const StoredTensor& tensor : file.tensors()) {
      check(names.contains(tensor.name), ErrorKind::corrupt,
            "{}: tensor \"{}\" is not placed here by the index", path.string(), tensor.name);
    }
    add(std::move(file));
  }
}

const StoredTensor* SafetensorsIndex::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace lowrank
