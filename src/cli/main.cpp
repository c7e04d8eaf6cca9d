#include <iostream>

#include <torch/headeronly/version.h>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/lost_pages.h"
#include "base/nearest_name.h"
#include "base/version.h"
#include "cli/arguments.h"
#include "cli/flags.h"
#include "cli/registry.h"
#include "cli/reported.h"
#include "cli/standard_streams.h"
#include "kernels/core/prepare_kernels.h"

namespace lowrank {
namespace {

void print_usage(std::ostream& out) {
  out << "lowrank fine-tunes language models with few trained parameters.\n\nusage: lowrank COMMAND [--flag "
         "value ...]\n\n";
  for (const CommandInfo* command : commands())
    out << fmt::format("  {:<10} {}\n", command->name, with_flags(command->summary));
  out << "\nlowrank COMMAND --help tells what a command takes.\n";
}

int dispatch(std::vector<std::string> arguments) {
  if (arguments.size() == 2 && arguments.front() == "help") arguments = {arguments.back(), "--help"};
  if (arguments.empty() || arguments.front() == "--help" || arguments.front() == "-h" ||
      arguments.front() == "help") {
    print_usage(arguments.empty() ? std::cerr : std::cout);
    return arguments.empty() ? 2 : 0;
  }
  if (arguments.front() == "--version") {
    std::cout << fmt::format("lowrank {}{}\nlibtorch {}, processor {}\n", program_version(),
                             *LOWRANK_COMMIT ? " (" LOWRANK_COMMIT ")" : "", TORCH_VERSION,
                             describe(cpu_features()));
    return 0;
  }
  std::vector<std::string> names;
  for (const CommandInfo* command : commands()) {
    if (command->name == arguments.front()) {
      const InterruptGuard guard;
      Arguments given(command->name, command->summary, {arguments.begin() + 1, arguments.end()});
      return command->run(given);
    }
    names.emplace_back(command->name);
  }
  const auto near = nearest_name(arguments.front(), names);
  throw UsageError(fmt::format("the command '{}' is not known{}", arguments.front(),
                               near ? fmt::format(" (did you mean {}?)", *near) : ""),
                   "lowrank --help lists the commands");
}

}  // namespace
}  // namespace lowrank

int main(int count, char** values) {
  lowrank::open_closed_streams();
  lowrank::end_when_pages_are_lost();
  return lowrank::reported([&] {
    lowrank::prepare_kernels();
    lowrank::set_log_sink([](lowrank::LogLevel level, std::string_view line) {
      lowrank::log_to_standard_error(level, lowrank::with_flags(line));
    });
    return lowrank::dispatch({values + 1, values + count});
  });
}
