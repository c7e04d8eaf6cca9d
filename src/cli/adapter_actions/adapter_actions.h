#pragma once

#include "cli/arguments.h"

namespace lowrank {

/// `lowrank adapters list`: what is in folders of adapters.
int list_adapters_action(Arguments& arguments);

/// `lowrank adapters convert`: an adapter of another method as a LoRA.
int convert_adapter_action(Arguments& arguments);

/// `lowrank adapters extract`: a LoRA from the difference of two models.
int extract_adapter_action(Arguments& arguments);

}  // namespace lowrank
