#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lowrank {

/// Types of stored tensors: those of safetensors (the ones under 8 bits packed into whole bytes), and GGUF's
/// block formats, in which 32, 64 or 256 values share scales.
enum class DType {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f6_e2m3,
  f6_e3m2,
  f4,
  c64,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4
};

/// How a type is stored and named. `safetensors` is empty and `gguf` -1 for types that the format lacks.
struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int block;        ///< values per block
  int block_bytes;  ///< bytes per block
  std::string_view safetensors;
  int gguf;
};

const DTypeInfo& info_of(DType dtype);
std::optional<DType> dtype_of_safetensors(std::string_view name);
std::optional<DType> dtype_of_gguf(int64_t type);
/// The name of any GGML type number for messages, "Q4_K (12)", including types that cannot be read.
std::string gguf_type_name(int64_t type);
/// The names of the GGUF types that can be read, "F64, F32, ...", for messages.
std::string gguf_types_read();

/// Bytes of `count` values; nothing when they do not fill whole blocks or the number overflows.
std::optional<int64_t> byte_count(DType dtype, int64_t count);

}  // namespace lowrank
