#include "formats/dtype.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lowrank {
namespace {

TEST(DType, NamesAndNumbersLeadBack) {
  for (int i = 0; i <= static_cast<int>(DType::nvfp4); ++i) {
    const auto type = static_cast<DType>(i);
    const DTypeInfo& info = info_of(type);
    EXPECT_EQ(info.dtype, type);
    EXPECT_FALSE(info.safetensors.empty() && info.gguf < 0) << info.name;
    EXPECT_EQ(dtype_of_safetensors(info.safetensors),
              info.safetensors.empty() ? std::nullopt : std::optional(type));
    EXPECT_EQ(dtype_of_gguf(info.gguf), info.gguf < 0 ? std::nullopt : std::optional(type));
  }
  EXPECT_FALSE(dtype_of_safetensors(""));
  EXPECT_FALSE(dtype_of_safetensors("f32"));
  EXPECT_FALSE(dtype_of_gguf(-1));
  EXPECT_FALSE(dtype_of_gguf(0xFFFFFFFF));
  EXPECT_EQ(gguf_type_name(12), "Q4_K (12)");
  EXPECT_EQ(gguf_type_name(41), "Q1_0 (41)");
  EXPECT_EQ(
      gguf_types_read(),
      "F64, F32, F16, BF16, I64, I32, I16, I8, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, "
      "IQ4_NL, IQ4_XS, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, TQ1_0, TQ2_0, MXFP4, NVFP4");
  for (int i = 0; i <= static_cast<int>(DType::nvfp4); ++i) {
    const DTypeInfo& info = info_of(static_cast<DType>(i));
    if (info.gguf >= 0) {
      EXPECT_EQ(gguf_type_name(info.gguf), fmt::format("{} ({})", info.name, info.gguf));
    }
  }
  EXPECT_EQ(gguf_type_name(4), "unknown (4)");
  EXPECT_EQ(gguf_type_name(0xFFFFFFFF), "unknown (4294967295)");
}

TEST(DType, ByteCounts) {
  EXPECT_EQ(byte_count(DType::f32, 3), 12);
  EXPECT_EQ(byte_count(DType::q4_1, 64), 40);
  EXPECT_EQ(byte_count(DType::q8_0, 0), 0);
  EXPECT_EQ(byte_count(DType::q6_k, 512), 420);
  EXPECT_FALSE(byte_count(DType::q6_k, 32));
  EXPECT_EQ(byte_count(DType::f4, 4), 2);
  EXPECT_EQ(byte_count(DType::f6_e2m3, 8), 6);
  EXPECT_FALSE(byte_count(DType::f4, 3));
  EXPECT_FALSE(byte_count(DType::q4_1, 33));
  EXPECT_FALSE(byte_count(DType::f64, INT64_MAX / 4));
  EXPECT_FALSE(byte_count(DType::q8_0, INT64_MAX / 32 * 32));
  EXPECT_FALSE(byte_count(DType::f32, -1));
}

}  // namespace
}  // namespace lowrank
