#include "study/benchmark/source_files.h"

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

fs::path found_file(const fs::path& source, std::span<const std::string_view> folders,
                    const SourceFile& file) {
  for (const std::string& name : file.names) {
    for (const std::string_view folder : folders) {
      for (const char* ending : {"", ".gz", ".zst"}) {
        fs::path path = source / folder / (name + ending);
        if (fs::is_regular_file(path)) return path;
      }
    }
  }
  return {};
}

SourceFile part_file(std::string part, const std::string& named, std::vector<std::string> published,
                     bool needed) {
  if (!named.empty()) return {std::move(part), {named}, true};
  return {std::move(part), std::move(published), needed};
}

}  // namespace

std::vector<Field> SourceNames::fields() {
  return {field("train", train, "file of the training rows, if it is not named as published"),
          field("validation", validation,
                "file of the rows that choose rates and stop a run; without one they are taken from the "
                "training rows"),
          field("test", test, "file of the rows that are asked after training")};
}

std::vector<fs::path> find_source_files(const fs::path& source, std::span<const std::string_view> folders,
                                        std::span<const SourceFile> files, std::string_view benchmark) {
  check(fs::exists(source), ErrorKind::not_found, "{}: no such folder", source.string());
  check(fs::is_directory(source), ErrorKind::invalid,
        "{}: a file, where the benchmark {} expects the folder with its files", source.string(), benchmark);
  std::vector<fs::path> found;
  std::vector<std::string> missing;
  for (const SourceFile& file : files) {
    found.push_back(found_file(source, folders, file));
    if (found.back().empty() && file.needed)
      missing.push_back(fmt::format("{} ({})", file.part, fmt::join(file.names, " or ")));
  }
  if (missing.empty()) return found;
  std::vector<std::string_view> places;
  for (const std::string_view folder : folders) {
    if (!folder.empty()) places.push_back(folder);
  }
  fail(ErrorKind::not_found, "{}: of the benchmark {} there is no {}{}", source.string(), benchmark,
       fmt::join(missing, ", no "),
       places.empty() ? "" : fmt::format("; also looked for in {}", fmt::join(places, ", ")));
}

std::vector<SourceFile> three_parts(const SourceNames& named, std::vector<std::string> train,
                                    std::vector<std::string> validation, std::vector<std::string> test) {
  return {part_file("train", named.train, std::move(train), true),
          part_file("validation", named.validation, std::move(validation), false),
          part_file("test", named.test, std::move(test), true)};
}

}  // namespace lowrank
