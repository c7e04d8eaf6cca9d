#include "data/examples/cache_folder.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

struct Entry {
  fs::file_time_type used;
  uint64_t bytes = 0;
  fs::path path;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

fs::path default_cache_folder() {
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty()) return fs::path(cache) / "lowrank" / "rows";
  return home.empty() ? fs::path() : fs::path(home) / ".cache" / "lowrank" / "rows";
}

void check_cache_folder(const std::string& given) {
  std::error_code ignored;
  check(given.empty() || !fs::exists(given, ignored) || fs::is_directory(given, ignored), ErrorKind::invalid,
        "`cache` {}: is no folder; give one, which need not exist, or none", given);
}

void tidy_cache_folder(const fs::path& folder, const fs::path& kept, uint64_t most_bytes) {
  std::error_code error;
  std::vector<Entry> entries;
  uint64_t bytes = 0;
  const auto day_ago = fs::file_time_type::clock::now() - std::chrono::hours(24);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code gone;
    const Entry found{entry.last_write_time(gone), entry.file_size(gone), entry.path()};
    if (gone) continue;
    const bool abandoned = found.path.extension() == ".partial" && found.used < day_ago;
    if (abandoned) fs::remove(found.path, gone);
    if (found.path.extension() != rows_ending) continue;
    bytes += found.bytes;
    if (found.path.filename() != kept.filename()) entries.push_back(found);
  }
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry& entry : entries) {
    if (bytes <= most_bytes) break;
    fs::remove(entry.path, error);
    bytes -= entry.bytes;
  }
}

}  // namespace lowrank
