#include "train/checkpoint_folder.h"

#include <algorithm>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/embedding_adapter.h"
#include "train/records/run_records.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// Hard-links (or copies) the files of the adapter in `run` into `folder`.
void link_adapter(const fs::path& run, const fs::path& folder) {
  const fs::path from = adapter_place(run);
  for (const fs::path& name : adapter_files(from)) link_file(from / name, folder / name);
}

void remove_checkpoint(const fs::path& path) {
  const ScratchFolder scratch(path);
  std::error_code failed;
  fs::rename(path, scratch.path() / "old", failed);
  check(!failed, ErrorKind::io, "{}: cannot remove: {}", path.string(), failed.message());
}

}  // namespace

void write_checkpoint(const fs::path& run, const Adapter& adapter, const std::string& base,
                      const TrainState& state, const std::string& log, bool embeds) {
  const fs::path path = run / fmt::format("checkpoint-{}", state.step);
  try {
    StagedFolder folder(path);
    embeds ? write_embedding_adapter(folder.path(), adapter, base)
           : write_adapter(folder.path(), adapter, base);
    if (state.records.best_eval_loss) link_adapter(run, folder.path() / best_name);
    write_file_atomically(folder.path() / trainer_state_name, log);
    write_state(folder.path() / state_name, state);
    folder.commit();
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("the state after step {} cannot be saved as {}: {}", state.step, path.string(),
                            error.what()),
                error.hint());
  }
}

void drop_old_checkpoints(const fs::path& run, int64_t kept) {
  const std::vector<fs::path> names = checkpoints(run);
  const std::span older(names.data(), static_cast<size_t>(std::max<int64_t>(0, std::ssize(names) - kept)));
  for (const fs::path& name : older) {
    if (holds_others(run, name))
      warn("{}: stays, since it holds files that no run wrote", (run / name).string());
    else
      remove_checkpoint(run / name);
  }
}

fs::path newest_checkpoint(const fs::path& run) {
  std::error_code none;
  if (!fs::is_directory(run, none)) return {};
  std::vector<fs::path> names = checkpoints(run);
  std::ranges::reverse(names);
  for (const fs::path& name : names) {
    try {
      read_state_head(run / name / state_name);
      return run / name;
    } catch (const Error& error) {
      warn("not resumed from: {}", error.what());
    }
  }
  return {};
}

void restore_best(const fs::path& checkpoint, const fs::path& run) {
  check(fs::is_directory(checkpoint / best_name), ErrorKind::corrupt, "{}: lacks the best adapter",
        (checkpoint / best_name).string());
  replace_adapter(run, [&](const fs::path& folder) { link_files(checkpoint / best_name, folder); });
}

}  // namespace lowrank
