#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "model/checkpoint.h"
#include "peft/files/adapter_file.h"
#include "peft/merge/merge.h"

namespace lowrank {

/// True for those of an earlier run's results (paths in its folder) that stay until the end of this run.
using Kept = std::function<bool(const std::filesystem::path&)>;

/// The files that write_results and, for `conversations`, write_chat_template will replace. `exported`:
/// `none`, `gguf-lora` or `gguf`.
Kept written_at_the_end(const Adapter& adapter, const std::string& exported, bool conversations);

/// Leaves the chat template with which an adapter was trained beside it, where `chat` and transformers look
/// for it first. Errors: io.
void write_chat_template(const std::filesystem::path& output, const std::string& source);

/// Refuses, before anything is loaded or trained, what the requested export cannot represent. `model`: the
/// base's path. Errors: unsupported.
void check_export(const std::string& exported, const std::string& model, const ModelSpec& spec,
                  const Adapter& adapter);

/// Refuses, before anything is trained, what write_results cannot write for this base. Errors: unsupported.
void check_results(const Checkpoint& checkpoint, const Adapter& adapter, const std::string& exported);

/// Warns of files that merging did not copy.
void report_left_out(const MergeResult& result, const std::filesystem::path& model);

/// Writes what the method or `exported` asks for besides the adapter to the output folder, and reports it;
/// uses the best adapter if one was chosen. Existing files are replaced once the new ones are complete.
/// Errors: as merge_to_folder, merge_to_gguf and write_gguf_lora.
void write_results(const std::filesystem::path& output, const Checkpoint& checkpoint, const Adapter& trained,
                   const std::string& exported, bool best_chosen);

}  // namespace lowrank
