#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/hub_name.h"

namespace lowrank {

/// The folder of downloaded models, as Hugging Face's programs choose it: HF_HUB_CACHE, else
/// HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub. It need not exist.
std::filesystem::path hub_cache_folder();

/// Whether the cache has something of this repository, in whatever revision or state.
bool in_hub_cache(const HubName& name, const std::filesystem::path& cache);

/// The model in the cache: the folder snapshots/COMMIT to which refs/REVISION (or a commit itself) leads, if
/// it has a config.json; else its only GGUF file (the first part of a split one), or `file`. Errors:
/// not_found, with the command that downloads it, if it is not there or incomplete (what is missing is
/// named); invalid where several GGUF files leave open which one is meant; corrupt for a reference that holds
/// no commit.
std::filesystem::path find_in_hub_cache(const HubName& name, const std::filesystem::path& cache);

/// OWNER/NAME for a path in a snapshot of the cache; nothing for other paths.
std::optional<std::string> repository_of(const std::filesystem::path& path);

/// One snapshot of a model in the cache; without commit, a revision that leads to none.
struct CachedSnapshot {
  std::string repository;              ///< OWNER/NAME
  std::vector<std::string> revisions;  ///< the names that lead to it; empty: its commit alone
  std::string commit;
  std::filesystem::path path;
  std::vector<std::string> gguf_files;  ///< by name; of a split file the first part
  int64_t bytes = 0;                    ///< of all files, links followed
  std::string missing;                  ///< what it lacks, as a clause; empty: complete
};

/// All snapshots of models and all revisions that lead to none, ordered by repository and commit. A cache
/// that does not exist is empty. Errors: invalid for one that is no folder.
std::vector<CachedSnapshot> cached_snapshots(const std::filesystem::path& cache);

}  // namespace lowrank
