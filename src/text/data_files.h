#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A row of a data file before its fields are looked at. Rows of tables have strings as values.
struct DataRow {
  std::string where;  ///< file and line (or number in an array), for errors
  int64_t line = 0;   ///< counted from 1; of an array's row its number
  nlohmann::ordered_json fields;
};

/// How the files of a data set are read.
struct DataFileOptions {
  /// Of tables without a header line: the names of the columns, by position; empty where a column has none.
  std::vector<std::string> headerless_columns;
};

/// The files that `pattern` names: one file; the .jsonl, .json, .csv and .tsv files of a folder; or those
/// that a pattern with *, ? or [] matches. In the order of their names. Errors: not_found, invalid when there
/// is none.
std::vector<std::filesystem::path> data_files(const std::string& pattern);

/// A row, or a part of it, as JSON on one line, with its numbers as they stand in the file; malformed UTF-8
/// as U+FFFD.
std::string row_text(const nlohmann::ordered_json& value);

/// Calls `take` with every row of a file, in order: of .csv and .tsv tables, of a JSON array, else of JSON
/// lines. Blank lines are skipped; CRLF and a byte order mark are accepted. Errors, with file and line:
/// not_found; invalid for pipes and empty files; unsupported for compressed files and other kinds; corrupt
/// for what is no row of the kind, no UTF-8, or longer than 64 MB. What is wrong with single rows (`take`'s
/// errors, too) is told for several of them at the end of the file, as BadRows does.
void read_data_file(const std::filesystem::path& path, const DataFileOptions& options,
                    const std::function<void(DataRow)>& take);

}  // namespace lowrank
