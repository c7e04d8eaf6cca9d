#include "formats/model_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

bool lies_in(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

std::optional<fs::path> file_in_model(const fs::path& folder, const fs::path& name) {
  std::error_code failed;
  const fs::path target = fs::canonical(folder / name, failed);
  if (failed) return std::nullopt;
  const fs::path home = fs::canonical(folder, failed);
  const bool in_own_cache = home.parent_path().filename() == "snapshots" &&
                            lies_in(target, home.parent_path().parent_path() / "blobs");
  const fs::path blobs = target.parent_path();
  const bool in_cache = in_own_cache || (blobs.filename() == "blobs" &&
                                         blobs.parent_path().filename().string().starts_with("models--"));
  if (failed || !(lies_in(target, home) || in_cache)) return std::nullopt;
  return target;
}

}  // namespace lowrank
