#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "study/benchmark/source_lines.h"

namespace lowrank {

/// Where the columns of a table stand.
struct TabColumns {
  std::vector<std::string> names;   ///< as the first line has them; empty: the table has no such line
  std::vector<size_t> positions{};  ///< of tables without names, from 0
};

/// The values of the chosen columns, in the order of TabColumns.
using TakeCells = std::function<void(std::span<const std::string_view> cells, const SourceLine& line)>;

/// The names in a table's first line. Errors: as for_each_line.
std::vector<std::string> first_cells(const std::filesystem::path& path);

/// Calls `take` with the chosen columns of each line of a table whose columns are divided by tabs and whose
/// quotation marks stand for themselves (QUOTE_NONE of Python's csv, with which `datasets` reads GLUE). Lines
/// that lack a chosen column, or that `take` refuses (invalid), are left out with a warning that names the
/// first of them; published tables have a few. Errors: as for_each_line; corrupt when more than one line in a
/// hundred (and more than ten) is left out; invalid for a name that the first line lacks. `warns` false: no
/// warning, for a table that is read again.
void read_tab_table(const std::filesystem::path& path, const TabColumns& columns, const TakeCells& take,
                    bool warns = true);

}  // namespace lowrank
