#pragma once

#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "model/model.h"

namespace lowrank::test {

/// How a model computes and holds its frozen weights.
struct LoadForm {
  const char* name;
  at::ScalarType compute;
  BaseMemory memory;

  bool is_f32() const { return compute == at::kFloat; }
  LoadOptions options() const {
    LoadOptions options;
    options.compute = compute;
    options.memory = memory;
    return options;
  }
};

inline void PrintTo(const LoadForm& form, std::ostream* out) {
  *out << form.name;
}

inline constexpr LoadForm f32_fast{"f32_fast", at::kFloat, BaseMemory::fast};
inline constexpr LoadForm f32_one{"f32_one", at::kFloat, BaseMemory::one};
inline constexpr LoadForm bf16_one{"bf16_one", at::kBFloat16, BaseMemory::one};
inline constexpr LoadForm bf16_small{"bf16_small", at::kBFloat16, BaseMemory::small};

/// What users run (bf16, one or no copy of a weight), and f32 in both layouts, which bounds errors beyond
/// rounding.
inline constexpr LoadForm load_forms[] = {f32_fast, f32_one, bf16_one, bf16_small};

/// Names a test's instances over `load_forms`.
inline std::string name_of_form(const testing::TestParamInfo<LoadForm>& info) {
  return info.param.name;
}

/// For tests that compare closely, whatever the machine's own choice of type: f32 products.
inline LoadOptions in_f32() {
  LoadOptions options;
  options.compute = at::kFloat;
  return options;
}

}  // namespace lowrank::test
