#include "formats/dtype.h"

#include <algorithm>
#include <array>

namespace lowrank {
namespace {

constexpr std::array<DTypeInfo, 20> table{{
    {DType::f64, "F64", 1, 8, "F64", 28},
    {DType::f32, "F32", 1, 4, "F32", 0},
    {DType::f16, "F16", 1, 2, "F16", 1},
    {DType::bf16, "BF16", 1, 2, "BF16", 30},
    {DType::i64, "I64", 1, 8, "I64", 27},
    {DType::i32, "I32", 1, 4, "I32", 26},
    {DType::i16, "I16", 1, 2, "I16", 25},
    {DType::i8, "I8", 1, 1, "I8", 24},
    {DType::u64, "U64", 1, 8, "U64", -1},
    {DType::u32, "U32", 1, 4, "U32", -1},
    {DType::u16, "U16", 1, 2, "U16", -1},
    {DType::u8, "U8", 1, 1, "U8", -1},
    {DType::boolean, "BOOL", 1, 1, "BOOL", -1},
    {DType::f8_e4m3, "F8_E4M3", 1, 1, "F8_E4M3", -1},
    {DType::f8_e5m2, "F8_E5M2", 1, 1, "F8_E5M2", -1},
    {DType::q4_0, "Q4_0", 32, 18, "", 2},
    {DType::q4_1, "Q4_1", 32, 20, "", 3},
    {DType::q5_0, "Q5_0", 32, 22, "", 6},
    {DType::q5_1, "Q5_1", 32, 24, "", 7},
    {DType::q8_0, "Q8_0", 32, 34, "", 8},
}};

template <typename Predicate>
std::optional<DType> first(Predicate matches) {
  const auto found = std::ranges::find_if(table, matches);
  return found == table.end() ? std::nullopt : std::optional(found->dtype);
}

}  // namespace

const DTypeInfo& info_of(DType dtype) {
  return *std::ranges::find(table, dtype, &DTypeInfo::dtype);
}

std::optional<DType> dtype_of_safetensors(std::string_view name) {
  return name.empty() ? std::nullopt : first([&](const DTypeInfo& info) { return info.safetensors == name; });
}

std::optional<DType> dtype_of_gguf(int64_t type) {
  return type < 0 ? std::nullopt : first([&](const DTypeInfo& info) { return info.gguf == type; });
}

std::optional<int64_t> byte_count(DType dtype, int64_t count) {
  const DTypeInfo& info = info_of(dtype);
  int64_t bytes = 0;
  if (count < 0 || count % info.block != 0) return std::nullopt;
  if (__builtin_mul_overflow(count / info.block, static_cast<int64_t>(info.block_bytes), &bytes))
    return std::nullopt;
  return bytes;
}

}  // namespace lowrank
