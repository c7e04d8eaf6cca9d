#include "peft/core/module_patterns.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "peft/core/target_options.h"
#include "tokenizer/steps/pattern.h"

namespace lowrank {
namespace {

Pattern compiled(const std::string& pattern) {
  return {"(.*\\.)?(" + pattern + ")", "rank_pattern or alpha_pattern"};
}

}  // namespace

double pattern_value(const Patterns& patterns, const std::string& module, double otherwise) {
  for (const auto& [pattern, value] : patterns) {
    if (compiled(pattern).matches(module)) return value;
  }
  return otherwise;
}

int64_t pattern_rank(const Patterns& rank_pattern, const std::string& module, int64_t otherwise) {
  const double wanted = pattern_value(rank_pattern, module, static_cast<double>(otherwise));
  check(wanted >= 1 && wanted <= most_rank && wanted == std::floor(wanted), ErrorKind::invalid,
        "rank_pattern gives {} for {}; a rank is a whole number from 1 to {}", wanted, module, most_rank);
  return static_cast<int64_t>(wanted);
}

std::vector<std::string> idle_patterns(const Patterns& patterns, const std::vector<std::string>& modules) {
  std::vector<std::string> last_parts;
  for (const std::string& module : modules) {
    std::string part = module.substr(module.rfind('.') + 1);
    if (std::ranges::find(last_parts, part) == last_parts.end()) last_parts.push_back(std::move(part));
  }
  std::vector<std::string> idle;
  for (const auto& [pattern, value] : patterns) {
    const Pattern expression = compiled(pattern);
    if (std::ranges::any_of(modules, [&](const std::string& name) { return expression.matches(name); }))
      continue;
    const auto near = nearest_name(pattern, last_parts);
    idle.push_back(in_quotes(pattern) + (near ? fmt::format(" (did you mean {}?)", *near) : ""));
  }
  return idle;
}

void check_patterns(const Patterns& patterns, std::string_view key,
                    const std::vector<const Module*>& modules) {
  if (patterns.empty()) return;
  std::vector<std::string> names;
  names.reserve(modules.size());
  for (const Module* module : modules) names.push_back(module->name);
  const std::vector<std::string> idle = idle_patterns(patterns, names);
  check(idle.empty(), ErrorKind::invalid, "{}: {} matches none of the adapted modules", key,
        fmt::join(idle, ", "));
}

nlohmann::json write_patterns(const Patterns& patterns, const std::vector<const Module*>& modules) {
  Patterns sorted = patterns;
  std::ranges::sort(sorted);
  const double none = std::numeric_limits<double>::infinity();
  const auto same = [&](const Module* module) {
    return pattern_value(patterns, module->name, none) == pattern_value(sorted, module->name, none);
  };
  nlohmann::json json = nlohmann::json::object();
  if (std::ranges::all_of(modules, same)) {
    for (const auto& [pattern, value] : patterns) json.emplace(pattern, json_number(value));
    return json;
  }
  for (const Module* module : modules) {
    const double value = pattern_value(patterns, module->name, none);
    if (value != none) json[module->name] = json_number(value);
  }
  return json;
}

}  // namespace lowrank
