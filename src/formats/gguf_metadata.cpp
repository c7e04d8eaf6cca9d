#include "formats/gguf_metadata.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/error.h"
#include "base/one_line.h"
#include "formats/gguf_split.h"

namespace lowrank {
namespace {

template <typename T>
constexpr GgufType type_of() {
  using enum GgufType;
  if constexpr (std::is_same_v<T, float>) return f32;
  if constexpr (std::is_same_v<T, double>) return f64;
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (sizeof(T) == 1) return is_signed ? i8 : u8;
  if constexpr (sizeof(T) == 2) return is_signed ? i16 : u16;
  if constexpr (sizeof(T) == 4) return is_signed ? i32 : u32;
  return is_signed ? i64 : u64;
}

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// Length and text.
std::string bytes_of_text(std::string_view text) {
  return bytes_of<uint64_t>(text.size()).append(text);
}

/// What precedes an array's values.
std::string array_head(GgufType type, size_t count) {
  return bytes_of(static_cast<uint32_t>(type)) + bytes_of<uint64_t>(count);
}

}  // namespace

GgufMetadata::GgufMetadata(const GgufFile& file) {
  for (const GgufEntry& entry : file.metadata_entries()) {
    const auto* bytes = reinterpret_cast<const char*>(entry.value.data());
    entries_.push_back({std::string(entry.key), entry.type, std::string(bytes, entry.value.size())});
  }
  if (file.part_count() == 1) return;
  for (const std::string_view key : {split_number_key, split_count_key, split_tensors_key}) remove(key);
}

void GgufMetadata::set(std::string_view key, GgufType type, std::string value) {
  check(!key.empty() && key.size() <= gguf_layout::max_key, ErrorKind::invalid,
        "the GGUF key {} has {} bytes; 1 to {} are allowed", in_quotes(key), key.size(),
        gguf_layout::max_key);
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  if (found == entries_.end()) {
    entries_.push_back({std::string(key), type, std::move(value)});
  } else {
    found->type = type;
    found->value = std::move(value);
  }
}

template <typename T>
void GgufMetadata::set_number(std::string_view key, T value) {
  set(key, type_of<T>(), bytes_of(value));
}

void GgufMetadata::set_bool(std::string_view key, bool value) {
  set(key, GgufType::boolean, std::string(1, value ? '\1' : '\0'));
}

void GgufMetadata::set_string(std::string_view key, std::string_view value) {
  set(key, GgufType::text, bytes_of_text(value));
}

template <typename T>
void GgufMetadata::set_numbers(std::string_view key, std::span<const T> values) {
  std::string bytes = array_head(type_of<T>(), values.size());
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  set(key, GgufType::list, std::move(bytes));
}

void GgufMetadata::set_bools(std::string_view key, const std::vector<bool>& values) {
  std::string bytes = array_head(GgufType::boolean, values.size());
  for (const bool value : values) bytes.push_back(value ? '\1' : '\0');
  set(key, GgufType::list, std::move(bytes));
}

void GgufMetadata::set_strings(std::string_view key, std::span<const std::string> values) {
  std::string bytes = array_head(GgufType::text, values.size());
  for (const std::string& value : values) bytes += bytes_of_text(value);
  set(key, GgufType::list, std::move(bytes));
}

bool GgufMetadata::remove(std::string_view key) {
  return std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; }) > 0;
}

const GgufMetadata::Entry* GgufMetadata::find(std::string_view key) const {
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  return found == entries_.end() ? nullptr : &*found;
}

uint64_t GgufMetadata::alignment(std::string_view where) const {
  const Entry* entry = find("general.alignment");
  if (!entry) return gguf_layout::default_alignment;
  uint32_t value = 0;
  if (entry->type == GgufType::u32) std::memcpy(&value, entry->value.data(), sizeof value);
  check(gguf_layout::is_alignment(value), ErrorKind::invalid,
        "{}: general.alignment is not a u32 that is a power of two up to {}", where,
        gguf_layout::max_alignment);
  return value;
}

template void GgufMetadata::set_number(std::string_view, uint8_t);
template void GgufMetadata::set_number(std::string_view, int8_t);
template void GgufMetadata::set_number(std::string_view, uint16_t);
template void GgufMetadata::set_number(std::string_view, int16_t);
template void GgufMetadata::set_number(std::string_view, uint32_t);
template void GgufMetadata::set_number(std::string_view, int32_t);
template void GgufMetadata::set_number(std::string_view, uint64_t);
template void GgufMetadata::set_number(std::string_view, int64_t);
template void GgufMetadata::set_number(std::string_view, float);
template void GgufMetadata::set_number(std::string_view, double);
template void GgufMetadata::set_numbers(std::string_view, std::span<const uint8_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const int8_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const uint16_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const int16_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const uint32_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const int32_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const uint64_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const int64_t>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const float>);
template void GgufMetadata::set_numbers(std::string_view, std::span<const double>);

}  // namespace lowrank
