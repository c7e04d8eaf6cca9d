#pragma once

#include <string>
#include <vector>

namespace lowrank {

/// A Markdown table whose columns are as wide as their longest cell (in characters of UTF-8). Columns of
/// numbers, in which every nonempty cell begins with a digit or a minus sign, are right-aligned. Vertical
/// bars in cells are escaped. Each row has a cell for each heading. Errors: invalid if one does not.
std::string markdown_table(const std::vector<std::string>& headings,
                           const std::vector<std::vector<std::string>>& rows);

}  // namespace lowrank
