#include "formats/gguf.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/one_line.h"
#include "formats/gguf_cursor.h"

namespace lowrank {
namespace {

constexpr uint32_t magic = 0x46554747;  // "GGUF"
constexpr uint64_t default_alignment = 32;
constexpr uint64_t max_alignment = 1 << 20;
constexpr size_t max_name = 64;
constexpr uint32_t max_dimensions = 4;
/// A key with value and a tensor's entry take at least so many bytes; counts are held against the file's size
/// with them.
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
  check(!name.empty() && name.size() < max_name, ErrorKind::corrupt,
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

uint64_t alignment_of(const GgufFile& file) {
  const auto alignment = file.find<int64_t>("general.alignment");
  if (!alignment) return default_alignment;
  check(*alignment > 0 && static_cast<uint64_t>(*alignment) <= max_alignment &&
            std::has_single_bit(static_cast<uint64_t>(*alignment)),
        ErrorKind::corrupt, "{}: general.alignment {} is not a power of two up to {}", file.path().string(),
        *alignment, max_alignment);
  return static_cast<uint64_t>(*alignment);
}

template <typename T>
[[noreturn]] T wrong_type(const GgufFile& file, std::string_view key) {
  fail(ErrorKind::invalid, "{}: the key {} has an unexpected type or is out of range", file.path().string(),
       in_quotes(key));
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

}  // namespace

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.file_ = std::make_shared<const MmapFile>(MmapFile::open(path));
  GgufCursor cursor(file.file_->bytes(), path.string());
  read_version(cursor);
  const auto tensors = cursor.number<uint64_t>("the tensor count");
  const auto keys = cursor.number<uint64_t>("the key count");
  check(keys <= std::min(max_keys, cursor.remaining() / least_key_bytes), ErrorKind::corrupt,
        "{}: byte 16: {} keys do not fit in the file or are more than {}", path.string(), keys, max_keys);
  check(tensors <= std::min(max_tensors, cursor.remaining() / least_tensor_bytes), ErrorKind::corrupt,
        "{}: byte 8: {} tensors do not fit in the file or are more than {}", path.string(), tensors,
        max_tensors);
  file.read_metadata(cursor, keys);
  check(file.find<int64_t>("split.count").value_or(1) <= 1, ErrorKind::unsupported,
        "{}: split.count says that the model is split over several files, which is not supported yet",
        path.string());
  file.read_tensors(cursor, tensors);
  return file;
}

void GgufFile::read_metadata(GgufCursor& cursor, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = cursor.string("a key");
    check(!key.empty() && key.size() < 65536, ErrorKind::corrupt, "{}: byte {}: a key of {} bytes",
          cursor.where(), cursor.offset(), key.size());
    check(metadata_.emplace(key, cursor.value(key)).second, ErrorKind::corrupt,
          "{}: byte {}: the key {} stands twice", cursor.where(), cursor.offset(), in_quotes(key));
  }
}

void GgufFile::read_tensors(GgufCursor& cursor, uint64_t count) {
  std::vector<Placed> placed;
  for (uint64_t i = 0; i < count; ++i) placed.push_back(read_entry(cursor));
  const uint64_t alignment = alignment_of(*this);
  const std::span<const std::byte> bytes = file_->bytes();
  const uint64_t start = (cursor.offset() + alignment - 1) / alignment * alignment;
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
    tensors_.push_back(std::move(entry.tensor));
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    check(by_name_.emplace(tensors_[i].name, i).second, ErrorKind::corrupt, "{}: tensor {} stands twice",
          cursor.where(), in_quotes(tensors_[i].name));
  }
}

const StoredTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

template <typename T>
std::optional<T> GgufFile::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
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
  wrong_type<T>(*this, key);
}

void GgufFile::fail_missing(std::string_view key) const {
  fail(ErrorKind::invalid, "{}: the key {} is missing", path().string(), in_quotes(key));
}

template std::optional<bool> GgufFile::find(std::string_view) const;
template std::optional<int64_t> GgufFile::find(std::string_view) const;
template std::optional<double> GgufFile::find(std::string_view) const;
template std::optional<std::string> GgufFile::find(std::string_view) const;
template std::optional<std::vector<int64_t>> GgufFile::find(std::string_view) const;
template std::optional<std::vector<double>> GgufFile::find(std::string_view) const;
template std::optional<std::vector<std::string_view>> GgufFile::find(std::string_view) const;

}  // namespace lowrank
