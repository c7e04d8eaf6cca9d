#include "formats/dtype.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace lowrank {
namespace {

constexpr std::array<DTypeInfo, 45> table{{
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
    {DType::f8_e8m0, "F8_E8M0", 1, 1, "F8_E8M0", -1},
    {DType::f8_e4m3fnuz, "F8_E4M3FNUZ", 1, 1, "F8_E4M3FNUZ", -1},
    {DType::f8_e5m2fnuz, "F8_E5M2FNUZ", 1, 1, "F8_E5M2FNUZ", -1},
    {DType::f6_e2m3, "F6_E2M3", 4, 3, "F6_E2M3", -1},
    {DType::f6_e3m2, "F6_E3M2", 4, 3, "F6_E3M2", -1},
    {DType::f4, "F4", 2, 1, "F4", -1},
    {DType::c64, "C64", 1, 8, "C64", -1},
    {DType::q4_0, "Q4_0", 32, 18, "", 2},
    {DType::q4_1, "Q4_1", 32, 20, "", 3},
    {DType::q5_0, "Q5_0", 32, 22, "", 6},
    {DType::q5_1, "Q5_1", 32, 24, "", 7},
    {DType::q8_0, "Q8_0", 32, 34, "", 8},
    {DType::q2_k, "Q2_K", 256, 84, "", 10},
    {DType::q3_k, "Q3_K", 256, 110, "", 11},
    {DType::q4_k, "Q4_K", 256, 144, "", 12},
    {DType::q5_k, "Q5_K", 256, 176, "", 13},
    {DType::q6_k, "Q6_K", 256, 210, "", 14},
    {DType::iq4_nl, "IQ4_NL", 32, 18, "", 20},
    {DType::iq4_xs, "IQ4_XS", 256, 136, "", 23},
    {DType::iq1_s, "IQ1_S", 256, 50, "", 19},
    {DType::iq1_m, "IQ1_M", 256, 56, "", 29},
    {DType::iq2_xxs, "IQ2_XXS", 256, 66, "", 16},
    {DType::iq2_xs, "IQ2_XS", 256, 74, "", 17},
    {DType::iq2_s, "IQ2_S", 256, 82, "", 22},
    {DType::iq3_xxs, "IQ3_XXS", 256, 98, "", 18},
    {DType::iq3_s, "IQ3_S", 256, 110, "", 21},
    {DType::tq1_0, "TQ1_0", 256, 54, "", 34},
    {DType::tq2_0, "TQ2_0", 256, 66, "", 35},
    {DType::mxfp4, "MXFP4", 32, 17, "", 39},
    {DType::nvfp4, "NVFP4", 64, 36, "", 40},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < table.size(); ++i) {
    if (static_cast<size_t>(table[i].dtype) != i) return false;
  }
  return true;
}
static_assert(in_order(), "info_of looks a type up by its number");

/// GGML's type names by number (ggml.h); empty for withdrawn types.
constexpr std::array<std::string_view, 42> ggml_names{
    "F32",   "F16",    "Q4_0",  "Q4_1", "",     "",        "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",    "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16",  "",       "",
    "",      "TQ1_0",  "TQ2_0", "",     "",     "",        "MXFP4",  "NVFP4",   "Q1_0"};

template <typename Predicate>
std::optional<DType> first(Predicate matches) {
  const auto found = std::ranges::find_if(table, matches);
  return found == table.end() ? std::nullopt : std::optional(found->dtype);
}

}  // namespace

const DTypeInfo& info_of(DType dtype) {
  return table.at(static_cast<size_t>(dtype));
}

std::optional<DType> dtype_of_safetensors(std::string_view name) {
  return name.empty() ? std::nullopt : first([&](const DTypeInfo& info) { return info.safetensors == name; });
}

std::optional<DType> dtype_of_gguf(int64_t type) {
  return type < 0 ? std::nullopt : first([&](const DTypeInfo& info) { return info.gguf == type; });
}

std::string gguf_type_name(int64_t type) {
  const bool known = type >= 0 && type < std::ssize(ggml_names) && !ggml_names[type].empty();
  return fmt::format("{} ({})", known ? ggml_names[type] : "unknown", type);
}

std::string gguf_types_read() {
  std::string names;
  for (const DTypeInfo& info : table) {
    if (info.gguf >= 0) names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
  }
  return names;
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
