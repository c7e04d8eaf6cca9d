#pragma once

#include <filesystem>
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

/// True for `checkpoint-N/...`.
bool is_in_checkpoint(const std::filesystem::path& name);

/// A file in the folder that makes it a model's, and not one that a run left; empty: there is none.
std::filesystem::path model_in(const std::filesystem::path& folder);

/// Files in folders of checkpoints that no run wrote, as paths within `folder`.
std::vector<std::filesystem::path> others_in_checkpoints(const std::filesystem::path& folder);

}  // namespace lowrank
