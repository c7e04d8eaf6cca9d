#pragma once

#include <nlohmann/json.hpp>

#include "peft/files/side_by_side.h"
#include "session/fine_tune/fine_tune_options.h"

namespace lowrank {

/// What `fine_tune` would train: its configuration, numbers of parameters, costs and targets. If `data` is
/// given, also the rows, and the memory and time that the run takes, from a few steps that are tried without
/// leaving anything; otherwise no weight is loaded. Of the callbacks `show_row` is called. Errors: as
/// fine_tune.
nlohmann::ordered_json describe_fine_tune(FineTuneOptions options, ChosenMethod chosen,
                                          const FineTuneCallbacks& callbacks = {});

}  // namespace lowrank
