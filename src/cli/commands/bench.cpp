// lowrank bench: comparative measurements, taken in turn within one process.
#include <algorithm>
#include <optional>
#include <string_view>

#include "cli/benchmarks/benchmarks.h"
#include "cli/registry.h"

namespace lowrank {
namespace {

struct Benchmark {
  std::string_view name, summary;
  int (*run)(Arguments& arguments);
};

constexpr Benchmark benchmarks[] = {
    {"adapters", "tokens per second of sequences with different adapters", bench_adapters},
    {"decode", "milliseconds per generated token: base, adapters, merged models", bench_decode},
    {"limit", "share of a training step that its matrix products alone take", bench_limit},
    {"serving", "tokens per second of requests that run together, with many adapters", bench_serving}};

int run(Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Benchmark& benchmark : benchmarks) names.emplace_back(benchmark.name, benchmark.summary);
  const std::optional<std::string> name = arguments.enter(names);
  if (!name) return 0;
  return std::ranges::find(benchmarks, *name, &Benchmark::name)->run(arguments);
}

}  // namespace

extern const CommandInfo bench_command;
const CommandInfo bench_command{"bench", "measures decoding, or a training step against its limit", run};

}  // namespace lowrank
