#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "data/rows/rows.h"

namespace lowrank {

/// A way to lay out rows, as the option `format` names it.
struct RowLayout {
  std::string_view name;  ///< `prompt` is the name of two: of strings, and of lists of messages
  RowFormat format;
  bool (*fits)(const nlohmann::ordered_json& row);     ///< the row has what the layout begins with
  bool (*decides)(const nlohmann::ordered_json& row);  ///< a first row like this one has the layout
};

/// The layout that the row decides; null if it has no known fields.
const RowLayout* detected_layout(const nlohmann::ordered_json& row);

/// Refuses a name that no layout has. Errors: invalid.
void check_layout_name(std::string_view name);

/// The layout of a known name; `row` decides between those that share it.
const RowLayout& named_layout(std::string_view name, const nlohmann::ordered_json& row);

}  // namespace lowrank
