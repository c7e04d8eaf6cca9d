#include "tokenizer/jinja/builtins/filters.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

namespace lowrank::jinja {
namespace {

const std::vector<Filter>& table() {
  static const std::vector<Filter> filters = [] {
    std::vector<Filter> all;
    for (const auto group : {text_filters(), value_filters(), list_filters(), choice_filters()}) {
      all.insert(all.end(), group.begin(), group.end());
    }
    std::sort(all.begin(), all.end(), [](const Filter& a, const Filter& b) { return a.name < b.name; });
    return all;
  }();
  return filters;
}

}  // namespace

int32_t filter_number(std::string_view name) {
  const std::vector<Filter>& filters = table();
  const auto found =
      std::lower_bound(filters.begin(), filters.end(), name,
                       [](const Filter& filter, std::string_view n) { return filter.name < n; });
  return found != filters.end() && found->name == name ? static_cast<int32_t>(found - filters.begin()) : -1;
}

bool left_out_filter(std::string_view name) {
  static constexpr std::array<std::string_view, 9> names = {"filesizeformat", "pprint",    "random",
                                                            "striptags",      "urlencode", "urlize",
                                                            "wordwrap",       "xmlattr",   "truncate"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string unknown_filter(std::string_view name) {
  if (left_out_filter(name)) return fmt::format("the filter '{}' is not supported", name);
  return fmt::format("no filter named '{}'", name);
}

Value run_filter(int32_t number, const Call& call) {
  return table()[static_cast<size_t>(number)].run(call);
}

}  // namespace lowrank::jinja
