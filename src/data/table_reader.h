#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/bad_rows.h"
#include "data/data_files.h"

namespace lowrank {

/// How a table is written.
struct TableFormat {
  char separator = ',';
  bool quotes = true;                ///< "..." around fields, "" for a quotation mark in them (RFC 4180)
  std::vector<std::string> columns;  ///< empty: the first row names them
};

/// Calls `take` with every row of a table, the fields as strings in the order of the columns. Columns with an
/// empty name are left out. Rows with a wrong number of fields, and those that `take` rejects, go to `bad`.
/// Errors: corrupt, with the line, for quotation marks that do not close or occur within a field; invalid for
/// duplicate columns.
void read_table(std::string_view text, const std::string& file, const TableFormat& format, BadRows& bad,
                const std::function<void(DataRow)>& take);

}  // namespace lowrank
