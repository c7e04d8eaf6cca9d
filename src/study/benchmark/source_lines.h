#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace lowrank {

/// A line of a file, without its end (LF or CRLF).
struct SourceLine {
  std::string_view text;
  std::string where;  ///< file and line, for errors
  int64_t number = 0;
};

/// Calls `take` with every line of a text file that is not empty, compressed or not; a byte order mark is
/// skipped. Memory does not grow with the file. Errors: not_found; io; corrupt for a line that is not UTF-8;
/// those of `take`, collected as BadRows does; invalid for a file without lines.
void for_each_line(const std::filesystem::path& path, const std::function<void(const SourceLine&)>& take);

/// The first line that is not empty. Errors: as for_each_line.
std::string first_line(const std::filesystem::path& path);

}  // namespace lowrank
