#include "study/compare/comparison_page.h"

#include <utility>

#include "base/json.h"
#include "report/markup.h"

namespace lowrank {
std::string script_json(const nlohmann::ordered_json& value) {
  const std::string text = json_text(value);
  std::string safe;
  safe.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i, 3);
    if (text[i] == '<') {
      safe += "\\u003c";
    } else if (rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      safe += rest[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      safe += text[i];
    }
  }
  return safe;
}

std::string comparison_page(const nlohmann::ordered_json& results) {
  std::string page = comparison_asset("comparison.html");
  // In the order of their places, so that nothing is replaced inside of what was put in.
  const std::string title = escaped(results.value("benchmark", "") + " on " + results.value("model", ""));
  std::string made;
  const std::pair<std::string_view, std::string> parts[] = {
      {"@title@", title},
      {"@style@", comparison_asset("comparison.css")},
      {"@results@", script_json(results)},
      {"@chart@", comparison_asset("chart.min.js")},
      {"@script@", comparison_asset("comparison.js") + comparison_asset("charts.js")}};
  for (const auto& [name, value] : parts) {
    const size_t place = page.find(name);
    made += page.substr(0, place) + value;
    page.erase(0, place + name.size());
  }
  return made + page;
}

}  // namespace lowrank
