#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// A Markdown table whose columns are as wide as their longest cell (in characters of UTF-8), numbers to the
/// right: a column is one of numbers where every cell that is not empty begins with a digit or a minus sign.
/// A vertical bar in a cell is escaped. Each row has a cell for each heading. Errors: invalid where one has
/// not.
std::string markdown_table(const std::vector<std::string>& headings,
                           const std::vector<std::vector<std::string>>& rows);

}  // namespace lowrank
