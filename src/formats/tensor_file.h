#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/dtype.h"

namespace lowrank {

/// A tensor as stored in a file. The bytes belong to the file's mapping.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t>
      shape;  ///< outermost first: a matrix is {out, in}, even from GGUF, which lists the innermost first
  std::span<const std::byte> bytes;
};

/// Product of the dimensions; nothing when it overflows or a dimension is negative.
inline std::optional<int64_t> element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  }
  return count;
}

}  // namespace lowrank
