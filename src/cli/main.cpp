#include <exception>
#include <iostream>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/nearest_name.h"
#include "cli/registry.h"
#include "kernels/prepare_kernels.h"

namespace lowrank {
namespace {

/// 130 after SIGINT and 143 after SIGTERM, as shells give it.
int exit_code(ErrorKind kind) {
  constexpr int of_signals = 128;
  return kind == ErrorKind::interrupted ? of_signals + interrupting_signal() : 1;
}

void print_usage(std::ostream& out) {
  out << "lowrank fine-tunes language models with few trained parameters.\n\nusage: lowrank COMMAND [--flag "
         "value ...]\n\n";
  for (const CommandInfo* command : commands())
    out << fmt::format("  {:<10} {}\n", command->name, command->summary);
  out << "\nlowrank COMMAND --help tells what a command takes.\n";
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front() == "--help" || arguments.front() == "-h" ||
      arguments.front() == "help") {
    print_usage(arguments.empty() ? std::cerr : std::cout);
    return arguments.empty() ? 2 : 0;
  }
  if (arguments.front() == "--version") {
    std::cout << "lowrank " LOWRANK_VERSION "\n";
    return 0;
  }
  std::vector<std::string> names;
  for (const CommandInfo* command : commands()) {
    if (command->name == arguments.front()) {
      const InterruptGuard guard;
      return command->run({arguments.begin() + 1, arguments.end()});
    }
    names.emplace_back(command->name);
  }
  const auto near = nearest_name(arguments.front(), names);
  throw Error(ErrorKind::invalid,
              fmt::format("the command '{}' is not known{}", arguments.front(),
                          near ? fmt::format(" (did you mean {}?)", *near) : ""),
              "lowrank --help lists the commands");
}

}  // namespace
}  // namespace lowrank

int main(int count, char** values) {
  try {
    lowrank::prepare_kernels();
    return lowrank::dispatch({values + 1, values + count});
  } catch (const lowrank::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    if (!error.hint().empty()) std::cerr << "hint: " << error.hint() << '\n';
    return lowrank::exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
  }
  return 1;
}
