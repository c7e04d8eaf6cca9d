#include "model/stored/gguf_factors.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/block_formats.h"

namespace lowrank {
namespace {

constexpr std::string_view matrix_end = ".weight", factor_end = ".scale", input_end = ".input_scale";

}  // namespace

std::string name_of_factors(std::string_view matrix) {
  if (!matrix.ends_with(matrix_end)) return {};
  return std::string(matrix.substr(0, matrix.size() - matrix_end.size())) + std::string(factor_end);
}

std::vector<float> factors_beside(const GgufFile& file, std::string_view matrix) {
  const StoredTensor* stored = file.find_tensor(name_of_factors(matrix));
  if (!stored) return {};
  const int64_t count = element_count(stored->shape).value_or(0);
  check(stored->dtype == DType::f32 && stored->shape.size() == 1 && count > 0, ErrorKind::invalid,
        "{}: {} must hold factors as F32 values", file.path().string(), stored->name);
  std::vector<float> factors(static_cast<size_t>(count));
  expand(stored->dtype, stored->bytes, factors);
  check(std::ranges::all_of(factors, [](float factor) { return std::isfinite(factor); }), ErrorKind::invalid,
        "{}: {} holds a factor that is not finite", file.path().string(), stored->name);
  return factors;
}

std::string matrix_of_factors(const GgufFile& file, std::string_view name) {
  for (const std::string_view end : {input_end, factor_end}) {
    if (!name.ends_with(end)) continue;
    std::string matrix = std::string(name.substr(0, name.size() - end.size())) + std::string(matrix_end);
    return file.find_tensor(matrix) ? matrix : std::string();
  }
  return {};
}

bool holds_factors(const GgufFile& file, std::string_view name) {
  const std::string matrix = matrix_of_factors(file, name);
  if (!matrix.empty()) factors_beside(file, matrix);
  return !matrix.empty();
}

}  // namespace lowrank
