#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

constexpr uint64_t max_header_bytes = 100'000'000;
/// Header, one tensor object, its shape: nothing legitimate nests deeper. 8 values per tensor: 250,000
/// tensors.
constexpr JsonLimits header_limits{.depth = 3, .values = 2'000'000};

struct Placed {
  StoredTensor tensor;
  uint64_t begin, end;
};

uint64_t offset_of(const nlohmann::json& value, const std::string& where, const std::string& name) {
  if (!value.is_number_unsigned())
    fail(ErrorKind::corrupt, "{}: tensor {}: data_offsets must be whole numbers", where, in_quotes(name));
  return value.get<uint64_t>();
}

Placed parse_tensor(const std::string& name, const nlohmann::json& entry, const std::string& where) {
  const auto bad = [&](const char* what) {
    fail(ErrorKind::corrupt, "{}: tensor {}: {}", where, in_quotes(name), what);
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    bad("needs dtype, shape and data_offsets");
  }
  if (entry.size() != 3) bad("has keys other than dtype, shape and data_offsets");
  Placed placed;
  placed.tensor.name = name;
  if (!entry["dtype"].is_string()) bad("dtype must be a string");
  const auto& type = entry["dtype"].get_ref<const std::string&>();
  const auto dtype = dtype_of_safetensors(type);
  if (!dtype)
    fail(ErrorKind::unsupported, "{}: tensor {}: unknown dtype {}", where, in_quotes(name), in_quotes(type));
  placed.tensor.dtype = *dtype;
  if (!entry["shape"].is_array()) bad("shape must be an array");
  for (const nlohmann::json& extent : entry["shape"]) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > INT64_MAX)
      bad("shape must hold whole numbers");
    placed.tensor.shape.push_back(extent.get<int64_t>());
  }
  const nlohmann::json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) bad("data_offsets must be two numbers");
  placed.begin = offset_of(offsets[0], where, name);
  placed.end = offset_of(offsets[1], where, name);
  const auto count = element_count(placed.tensor.shape);
  const auto bytes = count ? byte_count(*dtype, *count) : std::nullopt;
  if (!bytes) bad("the shape overflows, or its values do not fill whole bytes");
  if (placed.begin > placed.end || placed.end - placed.begin != static_cast<uint64_t>(*bytes)) {
    bad("data_offsets do not fit dtype and shape");
  }
  return placed;
}

/// MLX writes null if there is none, which the Rust library also accepts.
std::map<std::string, std::string> parse_metadata(const nlohmann::json& entry, const std::string& where) {
  if (entry.is_null()) return {};
  check(entry.is_object(), ErrorKind::corrupt, "{}: __metadata__ must be an object of strings", where);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    check(value.is_string(), ErrorKind::corrupt, "{}: __metadata__ {} must be a string", where,
          in_quotes(key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// The header's text; checks its length and its first byte.
std::string_view header_of(std::span<const std::byte> bytes, const std::string& where) {
  check(bytes.size() >= 8, ErrorKind::corrupt, "{}: {} bytes, too short for a safetensors file", where,
        bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  check(length <= max_header_bytes, ErrorKind::corrupt, "{}: header of {} bytes at offset 0, more than {}",
        where, length, max_header_bytes);
  check(length <= bytes.size() - 8, ErrorKind::corrupt, "{}: header of {} bytes ends beyond the file's {}",
        where, length, bytes.size());
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  check(header.starts_with('{'), ErrorKind::corrupt, "{}: the header at offset 8 does not start with {{",
        where);
  return header;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.file_ = std::make_shared<const MmapFile>(MmapFile::open(path));
  const std::string where = path.string();
  const std::span<const std::byte> bytes = file.file_->bytes();
  const std::string_view header = header_of(bytes, where);
  const nlohmann::json json = parse_json(header, where + ": header", header_limits);
  std::vector<Placed> placed;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      file.metadata_ = parse_metadata(entry, where);
    } else {
      placed.push_back(parse_tensor(name, entry, where));
    }
  }
  std::ranges::sort(placed, {}, [](const Placed& p) { return std::pair(p.begin, p.end); });
  const std::span<const std::byte> data = bytes.subspan(8 + header.size());
  uint64_t next = 0;
  for (Placed& entry : placed) {
    if (entry.begin != next)
      fail(ErrorKind::corrupt, "{}: tensor {} begins at data offset {} where {} is expected", where,
           in_quotes(entry.tensor.name), entry.begin, next);
    if (entry.end > data.size())
      fail(ErrorKind::corrupt, "{}: tensor {} ends at data offset {}, the file holds {}; it may be cut short",
           where, in_quotes(entry.tensor.name), entry.end, data.size());
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    next = entry.end;
    file.tensors_.push_back(std::move(entry.tensor));
  }
  check(next == data.size(), ErrorKind::corrupt, "{}: {} bytes after the last tensor", where,
        data.size() - next);
  for (size_t i = 0; i < file.tensors_.size(); ++i) file.by_name_[file.tensors_[i].name] = i;
  return file;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace lowrank
