#include "session/ranks/shared_rows.h"

#include <algorithm>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// Names the folder among all machines' folders, as this run of this machine's system and the nearest part of
/// the path that is there; empty if that cannot be told.
std::string place_of(const fs::path& folder) {
  std::string machine;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> machine;
  if (folder.empty() || machine.empty()) return "";
  std::error_code error;
  const fs::path whole = fs::absolute(folder, error).lexically_normal();
  for (fs::path there = whole; !error; there = there.parent_path()) {
    struct stat facts = {};
    if (stat(there.c_str(), &facts) == 0)
      return fmt::format("{} {} {} {}", machine, facts.st_dev, facts.st_ino,
                         whole.lexically_relative(there).string());
    if (there == there.parent_path()) break;
  }
  return "";
}

/// Without an error of its own, which would hide that of reading.
void tell(const RankGroup& ranks, const std::string& key) noexcept try {
  ranks.store().set(key, "over");
} catch (const std::exception&) {
  return;  // the others know that the store has gone
}

}  // namespace

RowReaders::RowReaders(const std::optional<RankGroup>& ranks, const fs::path& folder) : ranks_(ranks) {
  if (!ranks) return;
  const std::string own = place_of(folder);
  const std::vector<std::string> places = ranks->from_all(own);
  first_ = own.empty() ? ranks->rank() : std::ranges::find(places, own) - places.begin();
}

Dataset RowReaders::load(const std::string& what, bool kept, const std::function<Dataset()>& load) const {
  if (!ranks_) return load();
  const std::string done = fmt::format("rows/{}/{}", what, first_);
  if (first_ == ranks_->rank()) {
    try {
      Dataset read = load();
      tell(*ranks_, done);
      return read;
    } catch (...) {
      tell(*ranks_, done);
      throw;
    }
  }
  if (kept) {
    ranks_->wait_until([&](milliseconds patience) {
      if (ranks_->store().find(done)) return true;
      std::this_thread::sleep_for(std::min(patience, milliseconds(50)));
      return false;
    });
  }
  return load();
}

}  // namespace lowrank
