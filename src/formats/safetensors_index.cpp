#include "formats/safetensors_index.h"

#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"
#include "formats/model_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr int64_t max_index_bytes = 256 << 20;

struct Listing {
  std::map<std::string, std::set<std::string>> tensors_by_shard;
  std::optional<double> total_size;  ///< a float in files of some tools
};

/// A file name without a folder, which cannot lead out of the model's folder.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Listing read_listing(const fs::path& path) {
  const nlohmann::json json = read_json_file(path, max_index_bytes);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  check(json.is_object() && map != json.end() && map->is_object() && !map->empty(), ErrorKind::corrupt,
        "{}: no weight_map", path.string());
  Listing listing;
  for (const auto& [tensor, shard] : map->items()) {
    check(shard.is_string(), ErrorKind::corrupt, "{}: weight_map {} must be a file name", path.string(),
          in_quotes(tensor));
    const auto& name = shard.get_ref<const std::string&>();
    check(is_plain_name(name), ErrorKind::corrupt,
          "{}: weight_map {} names {}, which is not a plain file name", path.string(), in_quotes(tensor),
          in_quotes(name));
    listing.tensors_by_shard[name].insert(tensor);
  }
  const auto metadata = json.find("metadata");
  if (metadata == json.end() || !metadata->is_object() || !metadata->contains("total_size")) return listing;
  const nlohmann::json& total = (*metadata)["total_size"];
  check(total.is_number(), ErrorKind::corrupt, "{}: metadata.total_size must be a number", path.string());
  listing.total_size = total.get<double>();
  return listing;
}

/// A shard's path.
fs::path shard_path(const fs::path& folder, const std::string& shard, const fs::path& listing) {
  std::error_code failed;
  const fs::path target = fs::canonical(folder / shard, failed);
  check(!failed, ErrorKind::not_found, "{}: the shard {} is missing", listing.string(), in_quotes(shard));
  if (!file_in_model(folder, shard)) {
    throw Error(ErrorKind::invalid,
                fmt::format("{}: the shard {} is a link to {}, outside the model's folder", listing.string(),
                            in_quotes(shard), target.string()),
                "give the folder that holds the files themselves, or copy them");
  }
  return folder / shard;
}

}  // namespace

SafetensorsIndex SafetensorsIndex::open(const fs::path& folder) {
  SafetensorsIndex index;
  const fs::path single = folder / "model.safetensors";
  const fs::path listing = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    index.add(SafetensorsFile::open(single));
  } else if (fs::exists(listing, ignored)) {
    index.add_shards(folder, listing);
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

void SafetensorsIndex::add_shards(const fs::path& folder, const fs::path& path) {
  const Listing listing = read_listing(path);
  double total = 0;
  for (const auto& [shard, names] : listing.tensors_by_shard) {
    SafetensorsFile file = SafetensorsFile::open(shard_path(folder, shard, path));
    for (const std::string& name : names) {
      check(file.find(name) != nullptr, ErrorKind::corrupt, "{}: no tensor {}, which the index places here",
            file.path().string(), in_quotes(name));
    }
    for (const StoredTensor& tensor : file.tensors()) {
      check(names.contains(tensor.name), ErrorKind::corrupt, "{}: tensor {} is not placed here by the index",
            file.path().string(), in_quotes(tensor.name));
      total += static_cast<double>(tensor.bytes.size());
    }
    add(std::move(file));
  }
  if (!listing.total_size || *listing.total_size == total) return;
  throw Error(ErrorKind::corrupt,
              fmt::format("{}: metadata.total_size is {:.0f}, the shards hold {:.0f} bytes", path.string(),
                          *listing.total_size, total),
              "a shard may be from another model; without total_size the index is taken as it is");
}

const StoredTensor* SafetensorsIndex::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace lowrank
