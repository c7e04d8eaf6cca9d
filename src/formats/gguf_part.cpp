#include "formats/gguf_part.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/one_line.h"
#include "formats/gguf_cursor.h"

namespace lowrank {
namespace {

using namespace gguf_layout;

/// Minimum bytes of a key with its value and of a tensor's entry, used to check counts against the file's
/// size.
constexpr uint64_t least_key_bytes = 13;
constexpr uint64_t least_tensor_bytes = 32;
/// Real files have about fifty keys and a few thousand tensors.
constexpr uint64_t max_keys = 1 << 16;
constexpr uint64_t max_tensors = 1 << 18;

struct Placed {
  StoredTensor tensor;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

Placed read_entry(GgufCursor& cursor) {
  const std::string& where = cursor.where();
  Placed placed;
  const std::string_view name = cursor.string("a tensor's name");
  check(!name.empty() && name.size() < max_tensor_name, ErrorKind::corrupt,
        "{}: byte {}: a tensor's name of {} bytes", where, cursor.offset(), name.size());
  placed.tensor.name = std::string(name);
  const auto dimensions = cursor.number<uint32_t>(name);
  check(dimensions >= 1 && dimensions <= max_dimensions, ErrorKind::corrupt,
        "{}: byte {}: tensor {} has {} dimensions", where, cursor.offset() - 4, in_quotes(name), dimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto extent = cursor.number<uint64_t>(name);
    check(extent >= 1 && extent <= INT64_MAX, ErrorKind::corrupt,
          "{}: byte {}: tensor {} has a dimension of {}", where, cursor.offset() - 8, in_quotes(name),
          extent);
    placed.tensor.shape.push_back(static_cast<int64_t>(extent));
  }
  const auto type = cursor.number<uint32_t>(name);
  const auto dtype = dtype_of_gguf(type);
  if (!dtype) {
    fail(ErrorKind::unsupported, "{}: byte {}: tensor {} has the GGML type {}; read are {}", where,
         cursor.offset() - 4, in_quotes(name), gguf_type_name(type), gguf_types_read());
  }
  placed.tensor.dtype = *dtype;
  const auto count = element_count(placed.tensor.shape);
  const auto bytes = count ? byte_count(*dtype, *count) : std::nullopt;
  check(bytes.has_value() && placed.tensor.shape[0] % info_of(*dtype).block == 0, ErrorKind::corrupt,
        "{}: tensor {}: its rows do not fill whole blocks of {} or its size overflows", where,
        in_quotes(name), info_of(*dtype).name);
  placed.bytes = static_cast<uint64_t>(*bytes);
  placed.offset = cursor.number<uint64_t>(name);
  std::ranges::reverse(placed.tensor.shape);
  return placed;
}

uint64_t alignment_of(const GgufPart& part) {
  const auto alignment = part.find<int64_t>("general.alignment");
  if (!alignment) return default_alignment;
  check(is_alignment(*alignment), ErrorKind::corrupt,
        "{}: general.alignment {} is not a power of two up to {}", part.file.path().string(), *alignment,
        max_alignment);
  return static_cast<uint64_t>(*alignment);
}

/// Magic number and version.
void read_version(GgufCursor& cursor) {
  const auto found = cursor.number<uint32_t>("the magic number");
  check(found == magic, ErrorKind::corrupt, "{}: not a GGUF file (it starts with {:#010x})", cursor.where(),
        found);
  const auto version = cursor.number<uint32_t>("the version");
  const auto swapped = __builtin_bswap32(version);
  check(swapped != 2 && swapped != 3, ErrorKind::unsupported,
        "{}: byte 4: a big-endian GGUF file; only little-endian ones are read", cursor.where());
  check(version == 2 || version == 3, ErrorKind::unsupported, "{}: byte 4: GGUF version {}; read are 2 and 3",
        cursor.where(), version);
}

void read_metadata(GgufCursor& cursor, uint64_t count, GgufPart& part) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = cursor.string("a key");
    check(!key.empty() && key.size() <= max_key, ErrorKind::corrupt, "{}: byte {}: a key of {} bytes",
          cursor.where(), cursor.offset(), key.size());
    const uint64_t start = cursor.offset();
    check(part.metadata.emplace(key, cursor.value(key)).second, ErrorKind::corrupt,
          "{}: byte {}: the key {} stands twice", cursor.where(), cursor.offset(), in_quotes(key));
    uint32_t type = 0;
    const auto bytes = part.file.bytes().subspan(start, cursor.offset() - start);
    std::memcpy(&type, bytes.data(), sizeof type);
    part.entries.push_back({key, static_cast<GgufType>(type), bytes.subspan(sizeof type)});
  }
}

void read_tensors(GgufCursor& cursor, uint64_t count, GgufPart& part) {
  std::vector<Placed> placed;
  for (uint64_t i = 0; i < count; ++i) placed.push_back(read_entry(cursor));
  const uint64_t alignment = alignment_of(part);
  const std::span<const std::byte> bytes = part.file.bytes();
  const uint64_t start = cursor.offset() + padding(cursor.offset(), alignment);
  const uint64_t available = start <= bytes.size() ? bytes.size() - start : 0;
  std::ranges::sort(placed, {}, &Placed::offset);
  uint64_t end = 0;
  for (Placed& entry : placed) {
    const std::string name = in_quotes(entry.tensor.name);
    check(entry.offset % alignment == 0, ErrorKind::corrupt,
          "{}: tensor {} at data offset {} is not aligned to {}", cursor.where(), name, entry.offset,
          alignment);
    check(entry.bytes <= available && entry.offset <= available - entry.bytes, ErrorKind::corrupt,
          "{}: tensor {} ({} bytes at data offset {}) ends beyond the file, which may be cut short",
          cursor.where(), name, entry.bytes, entry.offset);
    check(entry.offset >= end, ErrorKind::corrupt, "{}: tensor {} overlaps the one before it", cursor.where(),
          name);
    end = entry.offset + entry.bytes;
    entry.tensor.bytes = bytes.subspan(start + entry.offset, entry.bytes);
    part.tensors.push_back(std::move(entry.tensor));
  }
}

}  // namespace

GgufPart GgufPart::open(const std::filesystem::path& path) {
  GgufPart part{MmapFile::open(path), {}, {}, {}};
  GgufCursor cursor(part.file.bytes(), path.string());
  read_version(cursor);
  const auto tensors = cursor.number<uint64_t>("the tensor count");
  const auto keys = cursor.number<uint64_t>("the key count");
  check(keys <= std::min(max_keys, cursor.remaining() / least_key_bytes), ErrorKind::corrupt,
        "{}: byte 16: {} keys do not fit in the file or are more than {}", path.string(), keys, max_keys);
  check(tensors <= std::min(max_tensors, cursor.remaining() / least_tensor_bytes), ErrorKind::corrupt,
        "{}: byte 8: {} tensors do not fit in the file or are more than {}", path.string(), tensors,
        max_tensors);
  read_metadata(cursor, keys, part);
  read_tensors(cursor, tensors, part);
  return part;
}

template <typename T>
std::optional<T> GgufPart::find(std::string_view key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const GgufValue& value = found->second;
  if constexpr (std::is_same_v<T, std::string>) {
    if (const auto* text = std::get_if<std::string_view>(&value)) return std::string(*text);
  } else {
    if (const auto* exact = std::get_if<T>(&value)) return *exact;
  }
  if constexpr (std::is_same_v<T, int64_t>) {
    const auto* large = std::get_if<uint64_t>(&value);
    if (large && *large <= INT64_MAX) return static_cast<int64_t>(*large);
  }
  if constexpr (std::is_same_v<T, double>) {
    if (const auto* whole = std::get_if<int64_t>(&value)) return static_cast<double>(*whole);
    if (const auto* large = std::get_if<uint64_t>(&value)) return static_cast<double>(*large);
  }
  fail(ErrorKind::invalid, "{}: the key {} has an unexpected type or is out of range", file.path().string(),
       in_quotes(key));
}

void GgufPart::fail_missing(std::string_view key) const {
  fail(ErrorKind::invalid, "{}: the key {} is missing", file.path().string(), in_quotes(key));
}

template std::optional<bool> GgufPart::find(std::string_view) const;
template std::optional<int64_t> GgufPart::find(std::string_view) const;
template std::optional<double> GgufPart::find(std::string_view) const;
template std::optional<std::string> GgufPart::find(std::string_view) const;
template std::optional<std::vector<int64_t>> GgufPart::find(std::string_view) const;
template std::optional<std::vector<double>> GgufPart::find(std::string_view) const;
template std::optional<std::vector<std::string_view>> GgufPart::find(std::string_view) const;

}  // namespace lowrank
