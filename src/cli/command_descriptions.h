#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"

namespace lowrank {

/// What every command takes, in the order of the registry, as the commands declare it.
std::vector<CommandDescription> describe_commands();

/// The values that an option of this type takes, for completion: "auto|cpu" gives auto and cpu; empty for
/// types that are no list of values.
std::vector<std::string> values_of(const OptionDescription& option);

}  // namespace lowrank
