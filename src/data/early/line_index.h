#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mmap_file.h"

namespace lowrank {

/// Where the rows of a file of JSON lines are, so that each can be read on its own. Takes 16 bytes for every
/// 64 rows.
class LineIndex {
 public:
  /// Reads the whole file. Nothing for one that is compressed, an array or a table. Errors: as
  /// MmapFile::open; interrupted.
  static std::optional<LineIndex> of(const std::filesystem::path& path);

  /// A row as it is in the file.
  struct Line {
    std::string_view text;  ///< without the newline
    int64_t number = 0;     ///< counted from 1, blank lines too
  };

  /// The number of lines that are not blank.
  int64_t rows() const { return rows_; }
  /// A row is below rows().
  Line line(int64_t row) const;
  const std::string& file() const { return name_; }
  /// Errors: io if the file has been written to since it was read.
  void check_unchanged() const { file_.check_unchanged(); }

 private:
  explicit LineIndex(MmapFile file) : file_(std::move(file)), name_(file_.path().string()) {}
  std::string_view text() const;
  void read();

  /// Where some of the rows begin.
  struct Mark {
    uint64_t offset = 0;
    int64_t number = 0;  ///< of the line
  };

  MmapFile file_;
  std::string name_;
  std::vector<Mark> marks_;
  int64_t rows_ = 0;
  mutable int64_t read_ = 0;  ///< rows since pages were dropped
};

}  // namespace lowrank
