#include "formats/gguf_writer.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

using namespace gguf_layout;

/// Bytes of a tensor that the format can hold; checks its name, type and shape.
uint64_t bytes_of(const StoredTensor& tensor, const std::string& where) {
  const DTypeInfo& info = info_of(tensor.dtype);
  const std::string name = in_quotes(tensor.name);
  check(!tensor.name.empty() && tensor.name.size() < max_tensor_name, ErrorKind::invalid,
        "{}: tensor {}: a name of {} bytes; GGUF files hold names of 1 to {}", where, name,
        tensor.name.size(), max_tensor_name - 1);
  check(info.gguf >= 0, ErrorKind::invalid, "{}: tensor {}: GGUF files cannot hold the type {}", where, name,
        info.name);
  check(!tensor.shape.empty() && tensor.shape.size() <= max_dimensions, ErrorKind::invalid,
        "{}: tensor {}: {} dimensions; GGUF files hold 1 to {}", where, name, tensor.shape.size(),
        max_dimensions);
  check(std::ranges::all_of(tensor.shape, [](int64_t extent) { return extent > 0; }), ErrorKind::invalid,
        "{}: tensor {}: a dimension below 1", where, name);
  const auto count = element_count(tensor.shape);
  const auto bytes = count ? byte_count(tensor.dtype, *count) : std::nullopt;
  check(bytes.has_value() && tensor.shape.back() % info.block == 0, ErrorKind::invalid,
        "{}: tensor {}: its rows do not fill whole blocks of {} or its size overflows", where, name,
        info.name);
  return static_cast<uint64_t>(*bytes);
}

template <typename T>
void put(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_text(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}

void put_metadata(std::string& out, const GgufMetadata& metadata) {
  for (const GgufMetadata::Entry& entry : metadata.entries()) {
    put_text(out, entry.key);
    put(out, static_cast<uint32_t>(entry.type));
    out += entry.value;
  }
}

void put_entry(std::string& out, const StoredTensor& tensor, uint64_t offset) {
  put_text(out, tensor.name);
  put(out, static_cast<uint32_t>(tensor.shape.size()));
  for (size_t i = tensor.shape.size(); i > 0; --i) put(out, static_cast<uint64_t>(tensor.shape[i - 1]));
  put(out, static_cast<uint32_t>(info_of(tensor.dtype).gguf));
  put(out, offset);
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const GgufMetadata& metadata, Existing existing)
    : file_(path, existing), where_(path.string()) {
  const uint64_t alignment = metadata.alignment(where_);
  std::string header;
  put(header, magic);
  put<uint32_t>(header, 3);
  put<uint64_t>(header, tensors.size());
  put<uint64_t>(header, metadata.entries().size());
  put_metadata(header, metadata);
  std::unordered_set<std::string_view> names;
  uint64_t total = 0;
  for (const StoredTensor& tensor : tensors) {
    check(names.insert(tensor.name).second, ErrorKind::invalid, "{}: tensor {} stands twice", where_,
          in_quotes(tensor.name));
    const uint64_t bytes = bytes_of(tensor, where_);
    put_entry(header, tensor, total);
    tensors_.push_back({tensor.name, bytes, padding(bytes, alignment)});
    // Neither sum can wrap: a tensor has less than 2^63 bytes, and `total` stays below that.
    total += bytes + tensors_.back().padding;
    check(total <= INT64_MAX, ErrorKind::invalid, "{}: more than 2^63 bytes", where_);
  }
  header.resize(header.size() + padding(header.size(), alignment));
  file_.write(header);
}

void GgufWriter::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  check(turn_ < tensors_.size(), ErrorKind::invalid, "{}: {} bytes after the last tensor", where_,
        bytes.size());
  Declared& tensor = tensors_[turn_];
  check(bytes.size() <= tensor.missing, ErrorKind::invalid,
        "{}: tensor {} lacks {} bytes of its type and shape, and {} came", where_, in_quotes(tensor.name),
        tensor.missing, bytes.size());
  file_.write(bytes);
  tensor.missing -= bytes.size();
  if (tensor.missing > 0) return;
  file_.write(std::string(tensor.padding, '\0'));
  ++turn_;
}

void GgufWriter::commit() {
  if (turn_ < tensors_.size()) {
    fail(ErrorKind::invalid, "{}: tensor {} is {} bytes short of its type and shape", where_,
         in_quotes(tensors_[turn_].name), tensors_[turn_].missing);
  }
  file_.commit();
}

void write_gguf(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                const GgufMetadata& metadata, Existing existing) {
  GgufWriter writer(path, tensors, metadata, existing);
  for (const StoredTensor& tensor : tensors) {
    check(tensor.bytes.size() == bytes_of(tensor, path.string()), ErrorKind::invalid,
          "{}: tensor {} comes with {} bytes, which is not what its type and shape take", path.string(),
          in_quotes(tensor.name), tensor.bytes.size());
    writer.append(tensor.bytes);
  }
  writer.commit();
}

}  // namespace lowrank
