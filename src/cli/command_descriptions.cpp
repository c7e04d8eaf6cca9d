#include "cli/command_descriptions.h"

#include <algorithm>

#include "cli/registry.h"

namespace lowrank {

std::vector<CommandDescription> describe_commands() {
  std::vector<CommandDescription> all;
  for (const CommandInfo* command : commands()) {
    Arguments arguments = Arguments::describing(command->name, command->summary);
    command->run(arguments);
    all.push_back(arguments.description());
  }
  return all;
}

std::vector<std::string> values_of(const OptionDescription& option) {
  std::vector<std::string> values;
  if (option.type.find('|') == std::string::npos) return values;
  for (size_t start = 0; start <= option.type.size();) {
    const size_t end = std::min(option.type.find('|', start), option.type.size());
    values.push_back(option.type.substr(start, end - start));
    start = end + 1;
  }
  return values;
}

}  // namespace lowrank
