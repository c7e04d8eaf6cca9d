#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::serve {

/// An adapter as requests know it.
struct ServedAdapter {
  std::string name;
  std::filesystem::path path;
  int64_t id = 0;       ///< its number in GET /lora-adapters; never that of another one
  double scale = 1;     ///< factor on the adapter's own scale
  int64_t created = 0;  ///< seconds since 1970
  std::string problem;  ///< why it cannot be used; empty: nothing is known
};

/// The adapters that requests may name. All functions may be called by several threads at once.
class AdapterList {
 public:
  /// `base`: the base's name, which no adapter may have.
  explicit AdapterList(std::string base) : base_(std::move(base)) {}

  /// Errors: invalid for a name that is taken, empty or longer than 256 bytes, or has
  /// slashes or control characters.
  ServedAdapter add(const std::string& name, const std::filesystem::path& path, double scale = 1);
  /// Whether it was there.
  bool remove(const std::string& name);
  void set_scale(const std::string& name, double scale);
  void set_problem(const std::string& name, const std::string& problem);

  std::optional<ServedAdapter> find(std::string_view name) const;
  std::optional<ServedAdapter> with_id(int64_t id) const;
  /// By name.
  std::vector<ServedAdapter> all() const;
  int64_t size() const;
  /// The name of an adapter, or the base's, that `wrong` may have meant.
  std::optional<std::string> nearest(std::string_view wrong) const;

 private:
  std::string base_;
  mutable std::mutex mutex_;
  std::map<std::string, ServedAdapter, std::less<>> adapters_;
  int64_t next_id_ = 0;
};

/// A folder of adapters.
struct FoundAdapter {
  std::string name;
  std::filesystem::path path;
};

/// The adapters below a folder: each of its subfolders that holds one, and each GGUF LoRA (FILE.gguf, called
/// FILE), by name. Hidden ones are left out, and with a warning links that lead out of the folder and
/// adapters with such links in them. Errors: not_found, io.
std::vector<FoundAdapter> adapters_in(const std::filesystem::path& folder);

/// The adapter at `path` inside `folder` (relative to it, or absolute). Errors: a Refusal for a place that is
/// not inside it, links followed, that does not exist, or that has a link out of the folder in it.
std::filesystem::path adapter_inside(const std::filesystem::path& folder, const std::string& path);

/// A text in which `name` stands for a folder or file: "/srv/a/x.json: …" becomes "a/x.json: …".
std::string without_folder(std::string text, const std::filesystem::path& folder, const std::string& name);

/// An error of an adapter as clients may see it: its name stands for its path, which is for the log.
std::string text_for_clients(const ServedAdapter& adapter, std::string text);

/// Seconds since 1970.
int64_t unix_seconds();

}  // namespace lowrank::serve
