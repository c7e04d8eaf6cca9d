#include "train/output_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <regex>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "data/rows/data_files.h"
#include "train/checkpoint_folder.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// `path` relative to `folder`, with links resolved in both; nullopt if it lies elsewhere.
std::optional<fs::path> within(const fs::path& path, const fs::path& folder) {
  std::error_code failed;
  const fs::path inner = fs::weakly_canonical(path, failed);
  if (failed) return std::nullopt;
  const fs::path outer = fs::weakly_canonical(folder, failed);
  if (failed) return std::nullopt;
  const fs::path relative = inner.lexically_relative(outer);
  if (relative.empty() || *relative.begin() == "..") return std::nullopt;
  return relative;
}

/// Some of the names, for messages.
std::string some(const std::vector<fs::path>& names) {
  constexpr size_t shown = 3;
  std::vector<std::string> first;
  for (size_t i = 0; i < std::min(shown, names.size()); ++i) first.push_back(one_line(names[i].string()));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

void check_rows(const RunFiles& files, const fs::path& folder) {
  for (const std::string& pattern : files.rows) {
    std::vector<fs::path> found;
    try {
      if (!pattern.empty()) found = data_files(pattern);
    } catch (const Error&) {
      continue;  // loading them reports more
    }
    for (const fs::path& file : found) {
      const auto name = within(file, folder);
      check(!name || !is_run_file(*name), ErrorKind::invalid,
            "{}: rows in the output folder, under a name that the run itself writes; move them, or give "
            "another `output`",
            file.string());
    }
  }
}

void check_apart(const RunFiles& files, const fs::path& folder) {
  const bool is_folder = fs::is_directory(files.model);
  const bool inside = is_folder ? within(folder, files.model).has_value()
                                : within(files.model, folder) == fs::path(files.model).filename();
  if (inside) {
    throw Error(ErrorKind::invalid,
                fmt::format("{}: {}; a run never writes there", files.output,
                            is_folder ? "the base model's own folder, or one in it" : "holds the base model"),
                "give another `output`");
  }
}

void check_no_model(const RunFiles& files, const fs::path& folder) {
  const fs::path model = model_in(folder);
  if (model.empty()) return;
  throw Error(ErrorKind::invalid,
              fmt::format("{}: holds a model ({}), which no run left; a run never writes there", files.output,
                          model.string()),
              "give another `output`");
}

void check_checkpoints(const RunFiles& files, const fs::path& folder) {
  const std::vector<fs::path> others = others_in_checkpoints(folder);
  check(others.empty(), ErrorKind::invalid,
        "{}: a checkpoint's folder holds files that no run wrote ({}); move them, or give another `output`",
        files.output, some(others));
}

/// What to do about results of an earlier run in the folder.
std::string hint_for_results(const fs::path& folder) {
  const std::vector<fs::path> saved = checkpoints(folder);
  const auto newest = std::find_if(saved.rbegin(), saved.rend(), [&](const fs::path& name) {
    return fs::exists(folder / name / state_name);
  });
  if (newest != saved.rend())
    return fmt::format(
        "give `resume` to go on from {}, another `output` for a new run, or `overwrite` to replace them",
        newest->string());
  return "give another `output`, or `overwrite` to replace them";
}

/// `results`: what the run would remove.
void check_results(const RunFiles& files, const fs::path& folder, const std::vector<fs::path>& results,
                   bool in_place) {
  if (results.empty()) return;
  if (!files.overwrite) {
    throw Error(ErrorKind::invalid,
                in_place
                    ? fmt::format("{}: holds checkpoints that are newer than the one to go on from ({}), "
                                  "which are not overwritten",
                                  files.output, some(results))
                    : fmt::format("{}: holds results of an earlier run ({}), which are not overwritten",
                                  files.output, some(results)),
                in_place ? "give `overwrite` to replace them, or `resume` alone to go on from the newest"
                         : hint_for_results(folder));
  }
  for (const std::string& input : {files.model, files.init_adapter, files.resume}) {
    const auto name = input.empty() ? std::nullopt : within(input, folder);
    if (!name || *name == ".") continue;
    const bool removed = std::ranges::any_of(
        results, [&](const fs::path& result) { return within(folder / result, folder / *name).has_value(); });
    check(!removed, ErrorKind::invalid,
          "{}: the run would read this and `overwrite` would remove it; give another `output`", input);
  }
}

/// True for what a killed run leaves behind: NAME.PID-NUMBER.partial, where NAME is one that runs write.
bool is_incomplete(const fs::path& name) {
  const std::regex pattern(
      "(checkpoint-[0-9]+|adapter|model|(metrics|samples)\\.jsonl|trainer_state\\.json|loss\\.svg|run\\.html|"
      "README"
      "\\.md|chat_template\\.jinja)\\.[0-9]+-[0-9a-f]+\\.partial");
  return std::regex_match(name.string(), pattern);
}

/// `folder` and its parents, as far as they are missing; innermost first.
std::vector<fs::path> missing_folders(fs::path folder) {
  std::vector<fs::path> missing;
  for (; !folder.empty() && !fs::exists(folder); folder = folder.parent_path()) missing.push_back(folder);
  return missing;
}

}  // namespace

OutputFolder::OutputFolder(const RunFiles& files) : path_(folder_to_write(files.output)) {
  check_apart(files, path_);
  made_ = missing_folders(path_);
  try {
    make_folders(path_);
    take();
    check_rows(files, path_);
    check_no_model(files, path_);
    check_checkpoints(files, path_);
    find_resumed(files);
    check_results(files, path_, results(), in_place_);
  } catch (...) {
    leave();
    throw;
  }
  for (const fs::path& name : results()) earlier_.push_back(found(name));
}

void OutputFolder::find_resumed(const RunFiles& files) {
  if (files.resume.empty()) return;
  if (files.resume == newest_resumed) {
    resumed_ = newest_checkpoint(path_);
    if (resumed_.empty()) {
      throw Error(ErrorKind::not_found,
                  fmt::format("{}: holds no complete checkpoint to go on from", files.output),
                  fmt::format("a run writes checkpoints with `save_every` N. To start from the beginning, {}",
                              results().empty() ? "leave out `resume`"
                                                : "give `overwrite` in place of `resume`; it replaces the "
                                                  "results that are there"));
    }
  } else {
    resumed_ = files.resume;
    if (!fs::exists(resumed_ / state_name)) {
      throw Error(
          ErrorKind::not_found, fmt::format("{}: no such file", (resumed_ / state_name).string()),
          "`resume` takes a checkpoint's folder (RUN/checkpoint-N), or none for the newest in `output`");
    }
  }
  const auto name = within(resumed_, path_);
  in_place_ = name && step_of_checkpoint(*name).has_value();
}

/// What this run may remove.
std::vector<fs::path> OutputFolder::results() const {
  if (!in_place_) return run_results(path_);
  const std::vector<fs::path> names = checkpoints(path_);
  std::vector<fs::path> newer;
  for (const fs::path& name : names) {
    if (step_of_checkpoint(name) <= step_of_checkpoint(*within(resumed_, path_))) continue;
    for (fs::path& file : checkpoint_files(path_, name)) newer.push_back(std::move(file));
  }
  return newer;
}

/// A lock on the folder itself leaves nothing behind. Some network file systems have no locks.
void OutputFolder::take() {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(descriptor_ >= 0, ErrorKind::io, "{}: {}", path_.string(), std::strerror(errno));
  locked_ = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  check(locked_ || errno != EWOULDBLOCK, ErrorKind::invalid, "{}: another run is writing there",
        path_.string());
}

OutputFolder::~OutputFolder() {
  leave();
}

void OutputFolder::leave() {
  for (const fs::path& folder : made_) ::rmdir(folder.c_str());
  if (descriptor_ >= 0) ::close(descriptor_);
}

OutputFolder::Earlier OutputFolder::found(const fs::path& name) const {
  struct ::stat status {};
  if (::lstat((path_ / name).c_str(), &status) != 0) return {name, 0, 0};
  return {name, status.st_dev, status.st_ino};
}

void OutputFolder::begin() {
  drop_earlier([](const fs::path& name) { return !is_record(name) && !is_in_checkpoint(name); });
  if (locked_) drop_incomplete();
}

void OutputFolder::drop_incomplete() const {
  for (const auto& entry : fs::directory_iterator(path_)) {
    std::error_code failed;
    if (is_incomplete(entry.path().filename())) fs::remove_all(entry.path(), failed);
    check(!failed, ErrorKind::io, "{}: cannot remove: {}", entry.path().string(), failed.message());
  }
}

void OutputFolder::drop_earlier(const std::function<bool(const fs::path&)>& kept) {
  std::vector<Earlier> rest;
  for (const Earlier& earlier : earlier_) {
    if (kept(earlier.name)) {
      rest.push_back(earlier);
    } else if (found(earlier.name) == earlier) {
      check(::unlink((path_ / earlier.name).c_str()) == 0, ErrorKind::io, "{}: cannot remove: {}",
            (path_ / earlier.name).string(), std::strerror(errno));
    }
  }
  // Removes folders that are now empty; the others hold files that were not removed.
  for (const Earlier& earlier : earlier_) {
    for (fs::path folder = earlier.name.parent_path(); !folder.empty(); folder = folder.parent_path())
      ::rmdir((path_ / folder).c_str());
  }
  earlier_ = std::move(rest);
}

}  // namespace lowrank
