#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lowrank {

/// The renaming that the option `columns` asks for.
struct Columns {
  std::map<std::string, std::string> field_of;  ///< by the name in the file
  std::vector<std::string> headerless;          ///< by position in a table without header

  /// The fields that are named, under their field names; all other keys are left out. The row as it is if
  /// none is named. Errors: invalid if a named one is missing; `where` in front.
  nlohmann::ordered_json renamed(const nlohmann::ordered_json& row, const std::string& where) const;
};

/// Reads `field=column` entries; a whole number names a column by its position, from 1. Errors: invalid for
/// unknown fields, for a field or column given twice, and for names mixed with numbers.
Columns read_columns(const std::vector<std::string>& entries);

}  // namespace lowrank
