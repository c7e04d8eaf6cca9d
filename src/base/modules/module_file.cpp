#include "base/modules/module_file.h"

#include <array>
#include <cstdlib>
#include <dlfcn.h>
#include <system_error>

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// The folders of the program and of the library that holds this function; empty if unknown.
std::array<fs::path, 2> our_folders() {
  std::error_code error;
  std::array<fs::path, 2> folders{fs::read_symlink("/proc/self/exe", error).parent_path(), {}};
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&module_file), &info) && info.dli_fname)
    folders[1] = fs::path(info.dli_fname).parent_path();
  return folders;
}

}  // namespace

std::optional<fs::path> module_file(const char* name, const char* variable) {
  const char* named = std::getenv(variable);
  if (named && *named) return named;
  for (const fs::path& folder : our_folders()) {
    if (folder.empty()) continue;
    for (const char* below : {"", "lowrank", "../lib/lowrank", "../lib64/lowrank"}) {
      std::error_code error;
      const fs::path path = folder / below / name;
      if (fs::exists(path, error)) return path;
    }
  }
  return std::nullopt;
}

}  // namespace lowrank
