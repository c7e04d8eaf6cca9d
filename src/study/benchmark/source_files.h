#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// Options that name a part's file otherwise than it is published.
struct SourceNames {
  std::string train, validation, test;  ///< relative to the source; empty: the published names

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

/// A file that a benchmark reads.
struct SourceFile {
  std::string part;                ///< "train", "validation", "test"
  std::vector<std::string> names;  ///< under which it is published, the likeliest first
  bool needed = true;
};

/// The first name of each file under which it lies in `source`, or in one of `folders` there, as it is or
/// compressed (.gz, .zst); an empty path for one that is missing and not needed. Errors: not_found, naming
/// all missing files with the names that they may have; invalid if `source` is a file.
std::vector<std::filesystem::path> find_source_files(const std::filesystem::path& source,
                                                     std::span<const std::string_view> folders,
                                                     std::span<const SourceFile> files,
                                                     std::string_view benchmark);

/// The three parts as files: those that the options name, which are then needed, or the published ones. A
/// validation file is needed only if it is named.
std::vector<SourceFile> three_parts(const SourceNames& named, std::vector<std::string> train,
                                    std::vector<std::string> validation, std::vector<std::string> test);

}  // namespace lowrank
