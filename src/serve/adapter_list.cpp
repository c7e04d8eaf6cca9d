#include "serve/adapter_list.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "serve/api/refusal.h"

namespace lowrank::serve {
namespace {

namespace fs = std::filesystem;

constexpr size_t longest_name = 256;

/// What marks a folder as an adapter's: PEFT's and AdapterHub's configuration, and methods side by side.
constexpr std::array<const char*, 4> markers{"adapter_config.json", "adapters.json", "head_config.json",
                                             "adapter_fusion_config.json"};

bool holds_adapter(const fs::path& folder) {
  std::error_code ignored;
  return std::ranges::any_of(markers,
                             [&](const char* name) { return fs::is_regular_file(folder / name, ignored); });
}

/// Whether a place lies inside a folder; both are canonical.
bool is_inside(const fs::path& place, const fs::path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, place);
  return end == folder.end() && rest != place.end();
}

void check_name(const std::string& name) {
  const bool control =
      std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
  const bool path = name.find_first_of("/\\") != std::string::npos || name == "." || name == "..";
  check(!name.empty() && name.size() <= longest_name && !control && !path, ErrorKind::invalid,
        "an adapter cannot be called {}: a name has 1 to {} bytes, no slashes and no control characters",
        in_quotes(name), longest_name);
}

/// Whether all files below an adapter's folder lie inside the root, links followed. A link to nothing does
/// not: what it leads to may come later. `seen` has the folders that were looked at.
bool stays_inside(const fs::path& folder, const fs::path& root, std::set<fs::path>& seen) {
  if (!seen.insert(folder).second) return true;
  std::error_code problem;
  for (fs::recursive_directory_iterator entry(folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    if (!entry->is_symlink()) continue;
    std::error_code broken;
    const fs::path place = fs::canonical(entry->path(), broken);
    if (broken || !is_inside(place, root)) return false;
    if (fs::is_directory(place, broken) && !stays_inside(place, root, seen)) return false;
  }
  return !problem;
}

bool stays_inside(const fs::path& folder, const fs::path& root) {
  std::set<fs::path> seen;
  return stays_inside(folder, root, seen);
}

}  // namespace

std::string without_folder(std::string text, const fs::path& folder, const std::string& name) {
  std::string place = folder.string();
  while (place.ends_with('/')) place.pop_back();
  // A plain name says nothing of where it stands, and may be a word of the sentence.
  if (place.find('/') == std::string::npos) return text;
  size_t at = 0;
  while ((at = text.find(place, at)) != std::string::npos) {
    const size_t end = at + place.size();
    // "/srv/a" is no part of "/srv/ab".
    const bool whole =
        end == text.size() || std::string_view("/: ,;)\"'").find(text[end]) != std::string::npos;
    if (whole) text.replace(at, place.size(), name);
    at += whole ? name.size() : place.size();
  }
  return text;
}

std::string text_for_clients(const ServedAdapter& adapter, std::string text) {
  return without_folder(std::move(text), adapter.path, adapter.name);
}

int64_t unix_seconds() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch()).count();
}

ServedAdapter AdapterList::add(const std::string& name, const fs::path& path, double scale) {
  check_name(name);
  const std::scoped_lock lock(mutex_);
  check(name != base_ && !adapters_.contains(name), ErrorKind::invalid, "the name {} is taken",
        in_quotes(name));
  return adapters_[name] = {name, path, next_id_++, scale, unix_seconds(), ""};
}

bool AdapterList::remove(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return adapters_.erase(name) > 0;
}

void AdapterList::set_scale(const std::string& name, double scale) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = adapters_.find(name); found != adapters_.end()) found->second.scale = scale;
}

void AdapterList::set_problem(const std::string& name, const std::string& problem) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = adapters_.find(name); found != adapters_.end()) found->second.problem = problem;
}

std::optional<ServedAdapter> AdapterList::find(std::string_view name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = adapters_.find(name);
  if (found == adapters_.end()) return std::nullopt;
  return found->second;
}

std::optional<ServedAdapter> AdapterList::with_id(int64_t id) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, adapter] : adapters_) {
    if (adapter.id == id) return adapter;
  }
  return std::nullopt;
}

std::vector<ServedAdapter> AdapterList::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<ServedAdapter> all;
  for (const auto& [name, adapter] : adapters_) all.push_back(adapter);
  return all;
}

int64_t AdapterList::size() const {
  const std::scoped_lock lock(mutex_);
  return std::ssize(adapters_);
}

std::optional<std::string> AdapterList::nearest(std::string_view wrong) const {
  if (wrong.size() > longest_name) return std::nullopt;
  std::vector<std::string> names{base_};
  for (const ServedAdapter& one : all()) names.push_back(one.name);
  return nearest_name(wrong, names);
}

std::vector<FoundAdapter> adapters_in(const fs::path& folder) {
  std::error_code problem;
  const fs::path root = fs::canonical(folder, problem);
  check(!problem && fs::is_directory(root), ErrorKind::not_found, "`adapters` {}: no such folder",
        folder.string());
  std::vector<FoundAdapter> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(root, problem)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.')) continue;
    std::error_code broken;
    const fs::path place = fs::canonical(entry.path(), broken);
    if (broken || !is_inside(place, root)) {
      warn("{}: left out, since the link leads out of the folder", entry.path().string());
      continue;
    }
    const bool gguf = entry.path().extension() == ".gguf" && fs::is_regular_file(place, broken);
    if (gguf) {
      found.push_back({entry.path().stem(), place});
    } else if (fs::is_directory(place, broken) && holds_adapter(place)) {
      if (!stays_inside(place, root)) {
        warn("{}: left out, since a link in it leads out of the folder of adapters", entry.path().string());
        continue;
      }
      found.push_back({name, place});
    }
  }
  check(!problem, ErrorKind::io, "`adapters` {}: {}", folder.string(), problem.message());
  std::ranges::sort(found, {}, &FoundAdapter::name);
  return found;
}

fs::path adapter_inside(const fs::path& folder, const std::string& path) {
  constexpr size_t longest_path = 4096;
  if (path.empty() || path.size() > longest_path || path.find('\0') != std::string::npos)
    refuse("lora_path", "`lora_path` must be the name of a folder in the server's folder of adapters");
  std::error_code problem;
  const fs::path root = fs::canonical(folder, problem);
  const fs::path place = fs::canonical(root / path, problem);
  // The same words whether something is there or not: files elsewhere are none of a client's business.
  if (problem || !is_inside(place, root))
    refuse("lora_path", "`lora_path` {}: not in the server's folder of adapters", in_quotes(path));
  if (fs::is_directory(place, problem) && !stays_inside(place, root))
    refuse("lora_path", "`lora_path` {}: a link in it leads out of the server's folder of adapters",
           in_quotes(path));
  return place;
}

}  // namespace lowrank::serve
