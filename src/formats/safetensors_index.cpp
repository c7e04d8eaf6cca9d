#include "formats/safetensors_index.h"

#include <map>
#include <set>

#include <fmt/ranges.h>

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
  std::optional<double> total_size;  ///< some tools write a float
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
  if (total.is_null()) return listing;
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
                fmt::format("{}: the shard {} is a link to {}, outside the model's folder and of no Hugging "
                            "Face cache (.../blobs/...)",
                            listing.string(), in_quotes(shard), one_line(target.string())),
                "give the folder that holds the files themselves, or copy them");
  }
  return folder / shard;
}

/// Differences between an index and its shards: the first few, and how many more.
class Differences {
 public:
  void add(std::string problem) {
    if (++count_ <= shown) first_.push_back(std::move(problem));
  }
  /// One sentence; empty if they agree.
  std::string told(const fs::path& listing) const {
    if (count_ == 0) return {};
    return fmt::format("{}: {}{}; the shards are taken as they are", listing.string(),
                       fmt::join(first_, "; "),
                       count_ > shown ? fmt::format(" and {} more", count_ - shown) : "");
  }

 private:
  static constexpr size_t shown = 3;
  std::vector<std::string> first_;
  size_t count_ = 0;
};

}  // namespace

SafetensorsIndex SafetensorsIndex::open(const fs::path& folder) {
  SafetensorsIndex index;
  const fs::path single = folder / "model.safetensors";
  const fs::path listing = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    index.files_.push_back(SafetensorsFile::open(single));
    for (const StoredTensor& tensor : index.files_.back().tensors()) index.add(tensor);
  } else if (fs::exists(listing, ignored)) {
    index.add_shards(folder, listing);
  } else {
    throw Error(ErrorKind::not_found,
                folder.string() + ": neither model.safetensors nor model.safetensors.index.json",
                "pickled checkpoints (.bin, .pt) are never read; convert them to safetensors");
  }
  return index;
}

void SafetensorsIndex::add(const StoredTensor& tensor) {
  by_name_[tensor.name] = tensors_.size();
  tensors_.push_back(tensor);
}

void SafetensorsIndex::add_shards(const fs::path& folder, const fs::path& path) {
  const Listing listing = read_listing(path);
  Differences differences;
  std::vector<const StoredTensor*> elsewhere;  // tensors that the index does not place where they are
  double total = 0;
  for (const auto& [shard, names] : listing.tensors_by_shard) {
    files_.push_back(SafetensorsFile::open(shard_path(folder, shard, path)));
    for (const StoredTensor& tensor : files_.back().tensors()) {
      total += static_cast<double>(tensor.bytes.size());
      if (names.contains(tensor.name)) {
        add(tensor);
        continue;
      }
      elsewhere.push_back(&tensor);
      differences.add(fmt::format("{} holds {}, which the index does not place there", in_quotes(shard),
                                  in_quotes(tensor.name)));
    }
  }
  const size_t placed = tensors_.size();
  for (const StoredTensor* tensor : elsewhere) {
    const auto known = by_name_.find(tensor->name);
    if (known != by_name_.end() && known->second < placed) continue;
    check(known == by_name_.end(), ErrorKind::corrupt,
          "{}: two shards hold the tensor {}, which the index places in neither", path.string(),
          in_quotes(tensor->name));
    add(*tensor);
  }
  for (const auto& [shard, names] : listing.tensors_by_shard) {
    for (const std::string& name : names) {
      if (!find(name))
        differences.add(
            fmt::format("{} lacks {}, which the index places there", in_quotes(shard), in_quotes(name)));
    }
  }
  if (listing.total_size && *listing.total_size != total) {
    differences.add(fmt::format("metadata.total_size is {:.0f}, the shards hold {:.0f} bytes",
                                *listing.total_size, total));
  }
  if (std::string told = differences.told(path); !told.empty()) notes_.push_back(std::move(told));
}

const StoredTensor* SafetensorsIndex::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace lowrank
