#pragma once

#include "cli/arguments.h"

namespace lowrank {

/// `lowrank adapters list`: what is in folders of adapters.
int list_adapters_action(Arguments& arguments);

/// `lowrank adapters combine`: several adapters as one.
int combine_adapters_action(Arguments& arguments);

/// `lowrank adapters diff`: how the updates of two adapters relate.
int compare_adapters_action(Arguments& arguments);

/// `lowrank adapters convert`: an adapter of another method as a LoRA.
int convert_adapter_action(Arguments& arguments);

/// `lowrank adapters extract`: a LoRA from the difference of two models.
int extract_adapter_action(Arguments& arguments);

}  // namespace lowrank
