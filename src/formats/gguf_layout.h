#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

// What the reader and the writer of GGUF share (gguf.md in the ggml repository). A file is: magic number,
// version, count of tensors, count of keys; the keys with type and value; the tensors' entries; padding; the
// data.
namespace lowrank {

/// Type numbers of metadata values.
enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, list, u64, i64, f64 };

namespace gguf_layout {

inline constexpr uint32_t magic = 0x46554747;  // "GGUF"
inline constexpr uint64_t default_alignment = 32;
inline constexpr int64_t max_alignment = 1 << 20;
/// Tensor names must be shorter than max_tensor_name; keys may be up to max_key long.
inline constexpr size_t max_tensor_name = 64;
inline constexpr size_t max_key = 65535;
inline constexpr size_t max_dimensions = 4;

constexpr bool is_alignment(int64_t value) {
  return value > 0 && value <= max_alignment && std::has_single_bit(static_cast<uint64_t>(value));
}

/// Bytes from `offset` to the next multiple of `alignment`.
constexpr uint64_t padding(uint64_t offset, uint64_t alignment) {
  return (alignment - offset % alignment) % alignment;
}

}  // namespace gguf_layout
}  // namespace lowrank
