#include "study/analysis/module_place.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/one_line.h"

namespace lowrank {
namespace {

std::optional<int64_t> number_in(std::string_view part) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
  if (part.empty() || error != std::errc() || end != part.data() + part.size()) return std::nullopt;
  return number;
}

}  // namespace

ModulePlace place_of(std::string_view module) {
  ModulePlace place;
  for (std::string_view rest = module; !rest.empty();) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    rest.remove_prefix(std::min(dot + 1, rest.size()));
    const std::optional<int64_t> number = number_in(part);
    if (number && !place.layer) {
      place.layer = number;
      place.kind.clear();
    } else {
      if (!place.kind.empty()) place.kind += '.';
      place.kind += number ? "*" : std::string(part);
    }
  }
  if (place.kind.empty()) place.kind = module;
  return place;
}

bool is_selected(std::string_view module, std::span<const std::string> names) {
  return names.empty() || std::ranges::any_of(names, [&](const std::string& name) {
           return module == name || module.ends_with("." + name);
         });
}

std::vector<ModuleKind> kinds_of(const std::vector<ModulePlace>& places) {
  std::vector<ModuleKind> kinds;
  for (size_t i = 0; i < places.size(); ++i) {
    auto found = std::ranges::find(kinds, places[i].kind, &ModuleKind::kind);
    if (found == kinds.end()) found = kinds.insert(found, ModuleKind{places[i].kind, {}});
    found->members.push_back(i);
  }
  return kinds;
}

std::string words_for_modules(const std::vector<std::string>& modules) {
  std::vector<ModulePlace> places;
  places.reserve(modules.size());
  for (const std::string& module : modules) places.push_back(place_of(module));
  std::string words;
  for (const ModuleKind& kind : kinds_of(places)) {
    if (!words.empty()) words += ", ";
    words += kind.members.size() == 1 ? one_line(modules[kind.members.front()])
                                      : fmt::format("{} x {}", kind.members.size(), one_line(kind.kind));
  }
  return words;
}

std::vector<size_t> spread_members(const std::vector<size_t>& members, size_t most) {
  if (members.size() <= most || most < 2) return members;
  std::vector<size_t> chosen;
  for (size_t i = 0; i < most; ++i) chosen.push_back(members[i * (members.size() - 1) / (most - 1)]);
  return chosen;
}

}  // namespace lowrank
