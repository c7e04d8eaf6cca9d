#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/rows/data_files.h"
#include "data/sources/text_window.h"

namespace lowrank {

/// How a table is written.
struct TableFormat {
  char separator = ',';
  bool quotes = true;                ///< "..." around fields, "" for a quotation mark in them (RFC 4180)
  std::vector<std::string> columns;  ///< empty: the first row names them
};

/// Makes a row, once, on any thread. Errors: corrupt for a wrong number of fields.
using MakeRow = std::function<DataRow()>;

/// Where a row of a table is, how to make it, and how many bytes it has.
using GiveRow = std::function<void(std::string where, int64_t line, MakeRow make, size_t bytes)>;

/// Calls `give` with every row of a table, the fields as strings in the order of the columns. Columns with an
/// empty name are left out. Errors: corrupt, with the line, for quotation marks that do not close or occur
/// within a field; invalid for duplicate columns.
void read_table(TextWindow& window, const std::string& file, const TableFormat& format, const GiveRow& give);

}  // namespace lowrank
