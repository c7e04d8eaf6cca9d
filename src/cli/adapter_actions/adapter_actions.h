#pragma once

#include "cli/arguments.h"

namespace lowrank {

/// `lowrank adapters list`: what is in folders of adapters.
int list_adapters_action(Arguments& arguments);

}  // namespace lowrank
