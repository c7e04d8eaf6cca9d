#include "formats/safetensors_writer.h"

#include <unordered_set>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

constexpr size_t max_header_bytes = 100'000'000;

/// Bytes of a tensor that the format can hold; checks its name, type and shape.
int64_t bytes_of(const StoredTensor& tensor, const std::string& where) {
  const DTypeInfo& info = info_of(tensor.dtype);
  check(!info.safetensors.empty(), ErrorKind::invalid,
        "{}: tensor {}: safetensors files cannot hold the type {}", where, in_quotes(tensor.name), info.name);
  check(tensor.name != "__metadata__", ErrorKind::invalid, "{}: no tensor can be named __metadata__", where);
  const auto count = element_count(tensor.shape);
  const auto bytes = count ? byte_count(tensor.dtype, *count) : std::nullopt;
  check(bytes.has_value(), ErrorKind::invalid, "{}: tensor {}: its shape is negative or overflows", where,
        in_quotes(tensor.name));
  return *bytes;
}

/// The header's text, with the members in this order; each is `"name":{...}`.
std::string header_of(std::span<const StoredTensor> tensors,
                      const std::map<std::string, std::string>& metadata, const std::string& where,
                      int64_t& total) {
  std::unordered_set<std::string_view> names;
  std::string text = "{";
  const auto add = [&](const std::string& key, const nlohmann::ordered_json& value) {
    text += (text.size() > 1 ? "," : "") + nlohmann::json(key).dump() + ":" + value.dump();
  };
  if (!metadata.empty()) add("__metadata__", metadata);
  for (const StoredTensor& tensor : tensors) {
    check(names.insert(tensor.name).second, ErrorKind::invalid, "{}: tensor {} stands twice", where,
          in_quotes(tensor.name));
    const int64_t begin = total;
    check(!__builtin_add_overflow(begin, bytes_of(tensor, where), &total), ErrorKind::invalid,
          "{}: more than 2^63 bytes", where);
    add(tensor.name, {{"dtype", info_of(tensor.dtype).safetensors},
                      {"shape", tensor.shape},
                      {"data_offsets", {begin, total}}});
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), where_(path.string()) {
  std::string header;
  try {
    header = header_of(tensors, metadata, where_, remaining_);
  } catch (const nlohmann::json::type_error&) {
    fail(ErrorKind::invalid, "{}: a tensor's name or the metadata is not UTF-8", where_);
  }
  check(header.size() <= max_header_bytes, ErrorKind::invalid, "{}: a header of {} bytes, more than {}",
        where_, header.size(), max_header_bytes);
  const uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(header);
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  check(bytes.size() <= static_cast<size_t>(remaining_), ErrorKind::invalid,
        "{}: more bytes than the header declares", where_);
  remaining_ -= static_cast<int64_t>(bytes.size());
  file_.write(bytes);
}

void SafetensorsWriter::commit() {
  check(remaining_ == 0, ErrorKind::invalid, "{}: {} bytes short of what the header declares", where_,
        remaining_);
  file_.commit();
}

void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  SafetensorsWriter writer(path, tensors, metadata);
  for (const StoredTensor& tensor : tensors) {
    check(tensor.bytes.size() == static_cast<size_t>(bytes_of(tensor, path.string())), ErrorKind::invalid,
          "{}: tensor {} comes with {} bytes, which is not what its type and shape take", path.string(),
          in_quotes(tensor.name), tensor.bytes.size());
    writer.append(tensor.bytes);
  }
  writer.commit();
}

}  // namespace lowrank
