#include "study/benchmark/benchmark.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "study/benchmark/registry.h"

namespace lowrank {

std::span<const BenchmarkInfo> all_benchmarks() {
  static const std::vector<BenchmarkInfo> entries = [] {
    std::vector<BenchmarkInfo> copies;
    for (const BenchmarkInfo* entry : benchmarks()) copies.push_back(*entry);
    return copies;
  }();
  return entries;
}

const BenchmarkInfo& benchmark_of_name(std::string_view name) {
  const std::span<const BenchmarkInfo> entries = all_benchmarks();
  const auto found = std::ranges::find(entries, name, &BenchmarkInfo::name);
  if (found != entries.end()) return *found;
  std::vector<std::string> names;
  for (const BenchmarkInfo& entry : entries) names.emplace_back(entry.name);
  const auto near = nearest_name(name, names);
  fail(ErrorKind::not_found, "there is no benchmark {}{}; there are {}", in_quotes(name),
       near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(names, ", "));
}

}  // namespace lowrank
