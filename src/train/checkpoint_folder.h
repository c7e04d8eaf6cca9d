#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "peft/files/adapter_file.h"
#include "train/state.h"

// A run's checkpoint is a folder checkpoint-N next to its results: the adapter after N steps, the state, the
// records as transformers' Trainer leaves them, and in `best` the adapter of the best evaluation so far. It
// is either complete or absent.
namespace lowrank {

/// Writes RUN/checkpoint-N, where N is the state's step. `base`: name of the base model in the
/// configurations. `embeds`: the adapter is one for embeddings. `log`: content of trainer_state.json. After
/// an evaluation, `run` holds the best adapter, which is hard-linked (or copied) into the checkpoint. Errors:
/// io; invalid if a folder of that name is not empty; with the checkpoint's path.
void write_checkpoint(const std::filesystem::path& run, const Adapter& adapter, const std::string& base,
                      const TrainState& state, const std::string& log, bool embeds = false);

/// Removes all but the `kept` newest checkpoints of a run; those that hold files that no run wrote stay. At
/// any moment a checkpoint is either complete or absent. Errors: io.
void drop_old_checkpoints(const std::filesystem::path& run, int64_t kept);

/// The newest complete checkpoint of a run, with a warning for newer ones that cannot be read; empty if there
/// is none.
std::filesystem::path newest_checkpoint(const std::filesystem::path& run);

/// Makes a checkpoint's best adapter that of the run. Errors: io; corrupt if the checkpoint has none.
void restore_best(const std::filesystem::path& checkpoint, const std::filesystem::path& run);

}  // namespace lowrank
