#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/fields.h"
#include "text/tokenizer.h"

namespace lowrank {

/// Where a command's texts come from and where its rows go.
struct TextRowOptions {
  std::string text, data, output;
  std::vector<std::string> columns;
  int64_t batch_size = 32;

  std::vector<Field> fields();
};

/// True if any row has this key.
bool any_has(const std::vector<nlohmann::ordered_json>& rows, const std::string& key);

/// Rows of a file, with the token ids of their texts.
struct TextRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> ids;
};

/// The rows of `data`, or one with `text`, with `prompt` in front of each text. Those longer than
/// `max_length` tokens are cut, with a warning. Errors: as read_rows; invalid unless exactly one of the two
/// is given.
TextRows read_text_rows(const TextRowOptions& options, const Tokenizer& tokenizer, int64_t max_length,
                        const std::string& prompt = {});

/// Writes JSON lines to standard output (if `path` is empty), or to a file that appears once they are
/// complete.
class RowWriter {
 public:
  /// Opens the file immediately, so that an unwritable path is reported before the work. Errors: as
  /// AtomicFile; invalid when it is one of the files of `data`.
  RowWriter(const std::string& path, const std::string& data);

  /// Writes the row, with its numbers as they were read (text/data_files.h). Errors: io.
  void write(const nlohmann::ordered_json& row);
  /// Completes the file. Errors: io.
  void commit();
  int64_t rows() const { return rows_; }

 private:
  std::optional<AtomicFile> file_;
  int64_t rows_ = 0;
};

}  // namespace lowrank
