#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"

namespace lowrank {

/// Writes JSON lines to standard output (if `path` is empty), or to a file that appears once they are
/// complete.
class RowWriter {
 public:
  /// Opens the file immediately, so that an unwritable path is reported before the work. Errors: as
  /// AtomicFile; invalid when it is one of the files of `data`.
  RowWriter(const std::string& path, const std::string& data);

  /// Writes the row, with its numbers as they were read (data/rows/data_files.h). Errors: io.
  void write(const nlohmann::ordered_json& row);
  /// Completes the file. Errors: io.
  void commit();
  int64_t rows() const { return rows_; }

 private:
  std::optional<AtomicFile> file_;
  int64_t rows_ = 0;
};

}  // namespace lowrank
