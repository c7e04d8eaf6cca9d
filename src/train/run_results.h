#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace lowrank {

/// The files in a run's folder that a run of this program writes or that `adapter` reads, as paths within it,
/// configurations first in each folder: the files of an adapter, its parts, checkpoints and merged models,
/// what `export` writes, the model card, records, and the model's files if the run leaves a model.
std::vector<std::filesystem::path> run_results(const std::filesystem::path& folder);

/// True if there is a README.md that is not a run's model card.
bool has_other_card(const std::filesystem::path& folder);

/// True for names that any run may write to its folder, whether or not they exist.
bool is_run_file(const std::filesystem::path& name);

/// True for what a run writes of itself while it goes on: metrics, samples, logs, the page that shows them.
bool is_record(const std::filesystem::path& name);

/// True for files of a model in the folder of a run that leaves a model.
bool is_model_file(const std::filesystem::path& name);

/// The folder within a checkpoint that holds the best adapter so far.
inline constexpr const char* best_name = "best";

/// The files of the adapter in a folder, including those of its parts, as paths within it.
std::vector<std::filesystem::path> adapter_files(const std::filesystem::path& folder);

/// The names of the checkpoint folders in a run's folder, sorted by step.
std::vector<std::filesystem::path> checkpoints(const std::filesystem::path& folder);

/// The N of `checkpoint-N`; nullopt for other names.
std::optional<int64_t> step_of_checkpoint(const std::filesystem::path& name);

/// The files that a run wrote to one of its checkpoints, as paths within `folder`.
std::vector<std::filesystem::path> checkpoint_files(const std::filesystem::path& folder,
                                                    const std::filesystem::path& name);

/// True if a checkpoint folder holds files that no run wrote.
bool holds_others(const std::filesystem::path& folder, const std::filesystem::path& name);

/// True for `checkpoint-N/...`.
bool is_in_checkpoint(const std::filesystem::path& name);

/// A file that makes the folder a model's, unless a run left that model; empty if there is none.
std::filesystem::path model_in(const std::filesystem::path& folder);

/// Files in checkpoint folders that no run wrote, as paths within `folder`.
std::vector<std::filesystem::path> others_in_checkpoints(const std::filesystem::path& folder);

}  // namespace lowrank
