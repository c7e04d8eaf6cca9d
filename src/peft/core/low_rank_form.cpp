#include "peft/core/low_rank_form.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace lowrank {

std::string factor_key(const Module& module, const char* factor) {
  return module.is_linear() ? fmt::format("base_model.model.{}.lora_{}.weight", module.name, factor)
                            : fmt::format("base_model.model.{}.lora_embedding_{}", module.name, factor);
}

double most_common(std::span<const double> values) {
  std::map<double, int64_t> counts;
  for (const double value : values) ++counts[value];
  return *std::ranges::max_element(values, {}, [&](double value) { return counts[value]; });
}

}  // namespace lowrank
