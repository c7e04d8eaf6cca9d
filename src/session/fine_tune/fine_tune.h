#pragma once

#include "peft/files/side_by_side.h"
#include "session/fine_tune/fine_tune_options.h"
#include "train/state.h"

namespace lowrank {

/// Trains `chosen`, a method with its options set, or goes on with the adapter `init_adapter`, and leaves the
/// results in the output folder. Where ranks share the steps (`TrainOptions::ranks`), each calls this with
/// the same options and rows, and the first one alone reads and writes that folder, except for checkpoints,
/// which all read. Errors: as its parts (see session/, train/run.h), listing at once what is missing among
/// model, data and output; interrupted, with a checkpoint in the folder.
RunResult fine_tune(FineTuneOptions options, ChosenMethod chosen, const FineTuneCallbacks& callbacks);

}  // namespace lowrank
