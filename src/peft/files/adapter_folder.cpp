#include "peft/files/adapter_folder.h"

#include <array>
#include <set>

#include "base/error.h"
#include "base/staged_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 13> file_names{"adapters.json",
                                                      "adapter_fusion_config.json",
                                                      "adapter_config.json",
                                                      "head_config.json",
                                                      "adapter_model.safetensors",
                                                      "adapter.safetensors",
                                                      "adapters.safetensors",
                                                      "model_adapter_fusion.safetensors",
                                                      "model_head.safetensors",
                                                      "encoder_state.safetensors",
                                                      "labels.json",
                                                      "lowrank.json",
                                                      "adapter_model.bin"};

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  check(!failed, ErrorKind::io, "{}: cannot write: {}", to.string(), failed.message());
}

/// Removes files of the earlier adapter that the new one in `fresh` does not replace.
void remove_others(const fs::path& folder, const fs::path& fresh) {
  std::set<fs::path> places{fs::path()};
  for (const auto& entry : fs::recursive_directory_iterator(fresh)) {
    if (entry.is_directory()) places.insert(entry.path().lexically_relative(fresh));
  }
  for (const fs::path& place : places) {
    for (const std::string_view name : file_names) {
      std::error_code failed;
      if (!fs::exists(fresh / place / name)) fs::remove(folder / place / name, failed);
      check(!failed, ErrorKind::io, "{}: cannot remove: {}", (folder / place / name).string(),
            failed.message());
    }
  }
}

/// Moves the files of the next adapter, linked in `links`, into place.
void finish(const fs::path& folder, const fs::path& links, const ScratchFolder& scratch) {
  remove_others(folder, links);
  move_files(links, folder);
  rename_folder(folder / next_adapter_name, scratch.path() / "done");
}

}  // namespace

std::span<const std::string_view> adapter_file_names() {
  return file_names;
}

fs::path adapter_place(const fs::path& path) {
  std::error_code none;
  const fs::path next = path / next_adapter_name;
  return fs::is_directory(next, none) ? next : path;
}

void replace_adapter(const fs::path& folder, const std::function<void(const fs::path&)>& write) {
  make_folders(folder);
  const ScratchFolder scratch(folder / "adapter");
  const fs::path fresh = scratch.path() / "next", links = scratch.path() / "links";
  if (const fs::path next = adapter_place(folder); next != folder) {
    const fs::path earlier = scratch.path() / "earlier";
    link_files(next, earlier);
    finish(folder, earlier, ScratchFolder(scratch.path() / "rest"));
  }
  make_folders(fresh);
  write(fresh);
  sync_files(fresh);
  link_files(fresh, links);
  rename_folder(fresh, folder / next_adapter_name);
  finish(folder, links, scratch);
}

}  // namespace lowrank
