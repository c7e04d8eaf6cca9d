#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace lowrank {

/// The files in a run's folder that a run of this program writes or that --adapter reads, as paths within it;
/// in each folder the configurations come first: an adapter's files, those of its parts, of checkpoints and
/// of merged models, what --export writes, the model card, metrics.jsonl, and of a run that leaves a model
/// the model's.
std::vector<std::filesystem::path> run_results(const std::filesystem::path& folder);

/// True when README.md is somebody else's, not a run's model card.
bool has_other_card(const std::filesystem::path& folder);

/// True for names that any run may write to its folder, whether they are there or not.
bool is_run_file(const std::filesystem::path& name);

/// True for files of a model in the folder of a run that leaves a model.
bool is_model_file(const std::filesystem::path& name);

/// The folder in a checkpoint's with the best adapter so far.
inline constexpr const char* best_name = "best";

/// The files of the adapter in a folder, those of its parts included, as paths within it.
std::vector<std::filesystem::path> adapter_files(const std::filesystem::path& folder);

/// The names of the checkpoints' folders in a run's, by their steps.
std::vector<std::filesystem::path> checkpoints(const std::filesystem::path& folder);

/// The N of `checkpoint-N`; nothing for other names.
std::optional<int64_t> step_of_checkpoint(const std::filesystem::path& name);

/// The files that a run wrote to one of its checkpoints, as paths within `folder`.
std::vector<std::filesystem::path> checkpoint_files(const std::filesystem::path& folder,
                                                    const std::filesystem::path& name);

/// True where a checkpoint's folder holds files that no run wrote.
bool holds_others(const std::filesystem::path& folder, const std::filesystem::path& name);

/// True for `checkpoint-N/...`.
bool is_in_checkpoint(const std::filesystem::path& name);

/// A file in the folder that makes it a model's, and not one that a run left; empty: there is none.
std::filesystem::path model_in(const std::filesystem::path& folder);

/// Files in folders of checkpoints that no run wrote, as paths within `folder`.
std::vector<std::filesystem::path> others_in_checkpoints(const std::filesystem::path& folder);

}  // namespace lowrank
