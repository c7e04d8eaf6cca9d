#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "model/checkpoint.h"
#include "peft/adapter_file.h"
#include "peft/merge.h"

namespace lowrank {

/// Which of an earlier run's results (paths in its folder) stay until the end of this one.
using Kept = std::function<bool(const std::filesystem::path&)>;

/// The files that write_results will replace. `exported`: the value of --export.
Kept written_at_the_end(const Adapter& adapter, const std::string& exported);

/// Refuses, before anything is trained, what write_results cannot write of this base. Errors: unsupported.
void check_results(const Checkpoint& checkpoint, const Adapter& adapter, const std::string& exported);

/// Warns of files that merging did not copy.
void tell_left_out(const MergeResult& result, const std::filesystem::path& model);

/// Writes what the method or --export asks for beside the adapter in the output folder, and tells it: of the
/// best adapter, where one was chosen. What is there is replaced when the new is complete. Errors: as
/// merge_to_folder, merge_to_gguf and write_gguf_lora.
void write_results(const std::filesystem::path& output, const Checkpoint& checkpoint, const Adapter& trained,
                   const std::string& exported, bool best_chosen);

}  // namespace lowrank
