#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/rows/ordered_work.h"

namespace lowrank {

/// A row of a data file before its fields are interpreted. In rows of tables all values are strings.
struct DataRow {
  std::string where;      ///< file and line (or row number in an array), for errors
  int64_t line = 0;       ///< counted from 1; for a row of an array, its number
  bool in_array = false;  ///< it has a number, but no line of its own
  nlohmann::ordered_json fields;
};

/// How the files of a data set are read.
struct DataFileOptions {
  /// For tables without a header line: the column names by position; empty for a column without one.
  std::vector<std::string> headerless_columns;
};

/// The files that `pattern` names, sorted by name: one file; the data files of a folder (`has_data_ending`);
/// or those that a pattern with *, ? or [] matches. Errors: not_found or invalid if there is none, and for
/// -, standard input; io.
std::vector<std::filesystem::path> data_files(const std::string& pattern);

/// A row, or part of one, as JSON on one line. Numbers are written as in the file, malformed UTF-8 as U+FFFD.
std::string row_text(const nlohmann::ordered_json& value);

/// The row of a line of JSON. Errors: corrupt for a line that is malformed, not UTF-8, no object, or longer
/// than 64 MB; `where` in front.
DataRow json_row(std::string_view line, const std::string& where, int64_t number, bool in_array = false);

/// Whether read_data_file takes a file of these bytes for JSON lines, and they are not compressed.
bool is_plain_lines(std::string_view bytes, const std::filesystem::path& path);

/// The bytes at the beginning that say that a text is UTF-8; empty if there are none.
std::string_view byte_order_mark(std::string_view text);

/// What is done with the rows of a file.
struct RowWork {
  /// Called for each row on any thread; what it returns is then called on the reading thread, in the order of
  /// the rows. Errors of either belong to the row.
  std::function<OrderedWork::End(DataRow)> begin;
  /// Whether rows may be begun apart from each other, on `threads`; until then each is finished before the
  /// next is read. Empty: they may.
  std::function<bool()> apart = nullptr;
  unsigned threads = reading_threads();
};

/// Calls `work` with every row of a file: a Parquet table, a .csv or .tsv table, a JSON array, or else JSON
/// lines, all but the first also compressed (`unpacked`). What is compressed is unpacked while it is read, so
/// that memory does not grow with the file. Blank lines are skipped; CRLF and a byte order mark are accepted.
/// Errors, with file and line: not_found; invalid for pipes and empty files; unsupported for other kinds;
/// corrupt for a row that is malformed, not UTF-8, or longer than 64 MB; as `unpacked` and `parquet_lines`;
/// interrupted. Errors of single rows (also those of `work`) are collected and reported at the end of the
/// file (BadRows).
void read_data_file(const std::filesystem::path& path, const DataFileOptions& options, const RowWork& work);

/// The same on the calling thread alone: calls `take` with every row, in order.
void read_data_file(const std::filesystem::path& path, const DataFileOptions& options,
                    const std::function<void(DataRow)>& take);

}  // namespace lowrank
