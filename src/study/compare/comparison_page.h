#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lowrank {

/// A file that the build takes into the program: page/comparison.html, .css and .js, and Chart.js
/// (chart.min.js of Debian's libjs-chart.js). Errors: not_found for another name.
std::string comparison_asset(std::string_view name);

/// JSON that can stand inside a <script> element, whatever texts it holds: no `<`, and none of the line ends
/// that JavaScript knows and JSON does not.
std::string script_json(const nlohmann::ordered_json& value);

/// A comparison's results (`json_of` of its report) as one HTML document that loads nothing: a table that
/// can be sorted, quality against parameters, memory and time, learning curves, and answers side by side.
std::string comparison_page(const nlohmann::ordered_json& results);

}  // namespace lowrank
