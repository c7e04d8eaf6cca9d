#pragma once

#include <string_view>

#include <fmt/format.h>

#include "base/fields.h"
#include "study/benchmark/benchmark.h"

namespace lowrank {

/// What an entry gives as `BenchmarkInfo::options`. `Options` has `std::vector<Field> fields()`, which point
/// into it.
template <class Options>
BenchmarkOptions entry_options() {
  const auto values = std::make_shared<Options>();
  return {values, values->fields()};
}

/// The options that a JSON object gives; those it does not name, and all for null, keep their defaults.
/// Errors: as `apply`.
template <class Options>
Options read_entry_options(const nlohmann::ordered_json& given, std::string_view benchmark) {
  Options options;
  if (!given.is_null())
    apply(options.fields(), nlohmann::json(given), fmt::format("the benchmark {}", benchmark));
  return options;
}

}  // namespace lowrank
