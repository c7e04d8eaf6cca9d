#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "peft/adapter_file.h"
#include "train/state.h"

// A run's checkpoint is a folder checkpoint-N beside its results: the adapter after N steps, the state, and
// in `best` the adapter of the best evaluation so far. It is complete or not there.
namespace lowrank {

/// Writes RUN/checkpoint-N for the N steps of the state. `base`: what the configurations call the base model.
/// Where something was evaluated, `run` holds the best adapter, of which the checkpoint gets second names.
/// Errors: io; invalid where a folder of that name holds something; with the checkpoint's path.
void write_checkpoint(const std::filesystem::path& run, const Adapter& adapter, const std::string& base,
                      const TrainState& state);

/// Removes all but the `kept` newest of a run's checkpoints; those that hold files of others stay. At each
/// moment a checkpoint is complete or not there. Errors: io.
void drop_old_checkpoints(const std::filesystem::path& run, int64_t kept);

/// The newest complete checkpoint of a run, with a warning for newer ones that cannot be read; empty: there
/// is none.
std::filesystem::path newest_checkpoint(const std::filesystem::path& run);

/// The best adapter of a checkpoint becomes that of the run. Errors: io; corrupt where the checkpoint has
/// none.
void restore_best(const std::filesystem::path& checkpoint, const std::filesystem::path& run);

}  // namespace lowrank
