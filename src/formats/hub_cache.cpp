#include "formats/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include <fmt/ranges.h>

#include "base/error.h"
#include "formats/hub_snapshot.h"
#include "formats/model_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view folder_prefix = "models--";

fs::path folder_of(const HubName& name, const fs::path& cache) {
  std::string folder(folder_prefix);
  for (const char c : name.repository) folder += c == '/' ? std::string("--") : std::string(1, c);
  return cache / folder;
}

[[noreturn]] void fail_missing(const HubName& name, std::string_view what) {
  throw Error(ErrorKind::not_found,
              fmt::format("{} {}; fetch it with: {}", name.repository, what, name.fetch_command()));
}

fs::path chosen_file(const HubName& name, const fs::path& snapshot) {
  if (!file_in_model(snapshot, name.file))
    fail_missing(name,
                 fmt::format("has no file {} in the Hugging Face cache at {}", name.file, snapshot.string()));
  return snapshot / name.file;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value ? value : "";
  const char* home = std::getenv("HOME");
  if (home && (text == "~" || text.starts_with("~/"))) text.replace(0, 1, home);
  return text;
}

/// The revisions of a repository.
struct Revisions {
  std::map<std::string, std::vector<std::string>> by_commit;
  std::map<std::string, std::string> broken;  ///< those that lead to no snapshot, with the reason
};

Revisions revisions_of(const fs::path& repository) {
  Revisions revisions;
  if (!fs::is_directory(repository / "refs")) return revisions;
  for (const auto& entry : fs::recursive_directory_iterator(repository / "refs")) {
    const std::string name = entry.path().lexically_relative(repository / "refs").generic_string();
    try {
      const auto commit = commit_in(entry.path());
      if (!commit) continue;
      if (fs::is_directory(repository / "snapshots" / *commit))
        revisions.by_commit[*commit].push_back(name);
      else
        revisions.broken[name] = fmt::format("its snapshot {} is missing", *commit);
    } catch (const Error& error) {
      revisions.broken[name] = error.what();
    }
  }
  return revisions;
}

int64_t bytes_of(const fs::path& snapshot) {
  int64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    if (entry.is_regular_file(ignored)) bytes += static_cast<int64_t>(entry.file_size(ignored));
  }
  return bytes;
}

CachedSnapshot described(const std::string& repository, const fs::path& path) {
  CachedSnapshot snapshot;
  snapshot.repository = repository;
  snapshot.commit = path.filename().string();
  snapshot.path = path;
  snapshot.gguf_files = gguf_files_of(path);
  snapshot.bytes = bytes_of(path);
  try {
    snapshot.missing = missing_of(path, !snapshot.gguf_files.empty());
  } catch (const Error& error) {
    snapshot.missing = error.what();
  }
  return snapshot;
}

/// Adds the snapshots of a repository's folder, and its revisions that lead to none.
void add_snapshots(const fs::path& folder, std::vector<CachedSnapshot>& all) {
  const fs::path snapshots = folder / "snapshots";
  const auto repository = repository_of(snapshots / "commit");
  if (!repository) return;
  const Revisions revisions = revisions_of(folder);
  for (const auto& [name, reason] : revisions.broken)
    all.push_back({*repository, {name}, "", folder / "refs" / name, {}, 0, reason});
  if (!fs::is_directory(snapshots)) return;
  for (const auto& snapshot : fs::directory_iterator(snapshots)) {
    if (!is_commit(snapshot.path().filename().string()) || !snapshot.is_directory()) continue;
    all.push_back(described(*repository, snapshot.path()));
    const auto found = revisions.by_commit.find(all.back().commit);
    if (found != revisions.by_commit.end()) all.back().revisions = found->second;
    std::ranges::sort(all.back().revisions);
  }
}

}  // namespace

fs::path hub_cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) return folder;
  }
  if (const std::string home = variable("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  const std::string cache = variable("XDG_CACHE_HOME");
  const fs::path folder = cache.empty() ? fs::path(variable("HOME")) / ".cache" : fs::path(cache);
  return folder / "huggingface" / "hub";
}

bool in_hub_cache(const HubName& name, const fs::path& cache) {
  std::error_code ignored;
  return fs::is_directory(folder_of(name, cache), ignored);
}

fs::path find_in_hub_cache(const HubName& name, const fs::path& cache) {
  const fs::path folder = folder_of(name, cache);
  const std::string at = fmt::format("the Hugging Face cache at {}", cache.string());
  if (!in_hub_cache(name, cache)) fail_missing(name, "is not in " + at);
  const std::optional<std::string> commit =
      is_commit(name.revision) ? name.revision : commit_in(folder / "refs" / name.revision);
  fs::path snapshot = folder / "snapshots" / commit.value_or("");
  if (!commit || !fs::is_directory(snapshot))
    fail_missing(name, fmt::format("is in {}, but not its revision {}", at, name.revision));
  const std::vector<std::string> files = gguf_files_of(snapshot);
  if (!name.file.empty()) return chosen_file(name, snapshot);
  if (const std::string missing = missing_of(snapshot, !files.empty()); !missing.empty())
    fail_missing(name, fmt::format("is incomplete in {}: {}", at, missing));
  if (fs::exists(snapshot / "config.json") || files.empty()) {
    const bool weights =
        fs::exists(snapshot / "model.safetensors") || fs::exists(snapshot / "model.safetensors.index.json");
    if (weights || files.empty()) return snapshot;
  }
  check(files.size() == 1, ErrorKind::invalid, "{} has several GGUF files in {}: {}; name one as {}:{}",
        name.repository, at, fmt::join(files, ", "), name.repository, files.front());
  return snapshot / files.front();
}

std::optional<std::string> repository_of(const fs::path& path) {
  for (fs::path part = path; part.has_relative_path(); part = part.parent_path()) {
    const std::string folder = part.parent_path().parent_path().filename().string();
    if (part.parent_path().filename() != "snapshots" || !folder.starts_with(folder_prefix)) continue;
    std::string name = folder.substr(folder_prefix.size());
    if (const size_t dashes = name.find("--"); dashes != std::string::npos) name.replace(dashes, 2, "/");
    if (is_plain_path(name, 2)) return name;
  }
  return std::nullopt;
}

std::vector<CachedSnapshot> cached_snapshots(const fs::path& cache) {
  std::vector<CachedSnapshot> all;
  if (!fs::exists(cache)) return all;
  check(fs::is_directory(cache), ErrorKind::invalid,
        "{}: the Hugging Face cache must be a folder; HF_HUB_CACHE names another", cache.string());
  for (const auto& entry : fs::directory_iterator(cache)) {
    if (entry.path().filename().string().starts_with(folder_prefix) && entry.is_directory())
      add_snapshots(entry.path(), all);
  }
  std::ranges::sort(all, {}, [](const CachedSnapshot& s) { return std::pair(s.repository, s.commit); });
  return all;
}

}  // namespace lowrank
