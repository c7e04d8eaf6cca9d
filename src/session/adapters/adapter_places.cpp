#include "session/adapters/adapter_places.h"

#include <algorithm>

#include "base/error.h"
#include "formats/gguf.h"
#include "peft/algebra/factored_update.h"
#include "peft/files/adapter_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

bool is_gguf_of_model(const fs::path& path) {
  try {
    return GgufFile::open(path).find<std::string>("general.type").value_or("model") != "adapter";
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

bool looks_like_adapter(const fs::path& path) {
  std::error_code none;
  if (!fs::is_directory(path, none))
    return path.extension() == ".gguf" && fs::is_regular_file(path, none) && !is_gguf_of_model(path);
  const fs::path place = adapter_place(path);
  return std::ranges::any_of(adapter_file_names(), [&](std::string_view name) {
    return name != "labels.json" && name != "lowrank.json" && fs::exists(place / name, none);
  });
}

std::vector<fs::path> adapters_at(const std::string& place) {
  std::error_code failed;
  check(fs::exists(place, failed), ErrorKind::not_found, "{}: no such folder or file", place);
  if (!fs::is_directory(place, failed) || looks_like_adapter(place)) return {place};
  std::vector<fs::path> found;
  fs::directory_iterator entry(place, failed);
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    if (looks_like_adapter(entry->path())) found.push_back(entry->path());
  }
  check(!failed, ErrorKind::io, "{}: cannot be read: {}", place, failed.message());
  std::ranges::sort(found, natural_less, [](const fs::path& path) { return path.filename().string(); });
  return found;
}

}  // namespace lowrank
