// lowrank bench: comparative measurements, taken in turn within one process.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "cli/benchmarks/benchmarks.h"
#include "cli/registry.h"

namespace lowrank {
namespace {

struct Benchmark {
  std::string_view name, summary;
  int (*run)(const std::vector<std::string>& arguments);
};

constexpr Benchmark benchmarks[] = {
    {"adapters", "tokens a second of rows with adapters of their own", bench_adapters},
    {"decode", "milliseconds a generated token: base, adapters, merged models", bench_decode},
    {"limit", "share of a training step that its matrix products alone take", bench_limit}};

void print_benchmarks(std::ostream& out) {
  out << "lowrank bench BENCHMARK [--flag value ...]\n\n";
  for (const Benchmark& benchmark : benchmarks)
    out << fmt::format("  {:<8} {}\n", benchmark.name, benchmark.summary);
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front() == "--help" || arguments.front() == "-h") {
    print_benchmarks(arguments.empty() ? std::cerr : std::cout);
    return arguments.empty() ? 2 : 0;
  }
  const auto* found = std::ranges::find(benchmarks, arguments.front(), &Benchmark::name);
  check(found != std::end(benchmarks), ErrorKind::invalid,
        "the benchmark '{}' is not known; there are adapters, decode and limit", arguments.front());
  return found->run({arguments.begin() + 1, arguments.end()});
}

}  // namespace

extern const CommandInfo bench_command;
const CommandInfo bench_command{"bench", "measures decoding, or a training step against its limit", run};

}  // namespace lowrank
