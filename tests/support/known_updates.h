#pragma once

#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include "base/json.h"
#include "peft/algebra/factored_adapter.h"
#include "support/places.h"

namespace lowrank::test {

/// An update of `module` whose singular values are those given, between unit vectors: from input first + i
/// to output i.
inline FactoredUpdate axis_update(const std::string& module, const std::vector<double>& values, int64_t size,
                                  int64_t first = 0) {
  const auto rank = static_cast<int64_t>(values.size());
  FactoredUpdate update{module, false, 1, at::zeros({rank, size}), at::zeros({size, rank})};
  for (int64_t i = 0; i < rank; ++i) {
    update.a[i][first + i] = values[static_cast<size_t>(i)];
    update.b[i][i] = 1;
  }
  return update;
}

inline FactoredAdapter adapter_of(const std::string& name, std::vector<FactoredUpdate> updates) {
  return {name, {}, updates.front().rank(), std::move(updates), {}, {}};
}

inline FactoredAdapter combined_adapter(const std::string& name) {
  return factors_of(read_adapter(fixture("combined") / name, ModelSpec()));
}

/// What numpy computes (tests/fixtures/make_analysis.py).
inline nlohmann::json numpy_figures() {
  return read_json_file(fixture("analysis") / "expected.json", 1 << 20);
}

}  // namespace lowrank::test
