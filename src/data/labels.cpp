#include "data/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "data/rows.h"

namespace lowrank {
namespace {

constexpr size_t most_classes = 1000;

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole_text = error == std::errc() && end == text.data() + text.size();
  return whole_text && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

bool is_whole(double value) {
  return value == std::floor(value);
}

std::string known_names(const std::vector<std::string>& names) {
  constexpr size_t shown = 12;
  const std::span<const std::string> first(names.data(), std::min(shown, names.size()));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > shown ? ", …" : "");
}

struct Seen {
  std::set<std::string, std::less<>> texts;
  bool numbers = true, fractions = false;
  std::string first_text;  ///< the first label that is not a number

  void add(const Row& row) {
    const std::optional<double> value = number(row.label);
    if (!value && numbers) first_text = fmt::format("{}: the label '{}'", row.where, row.label.substr(0, 40));
    numbers &= value.has_value();
    fractions |= value && !is_whole(*value);
    if (texts.size() <= most_classes) texts.insert(row.label);
  }
};

std::vector<std::string> ordered(const Seen& seen) {
  std::vector<std::string> names(seen.texts.begin(), seen.texts.end());
  if (seen.numbers) {
    std::ranges::sort(names,
                      [](const auto& left, const auto& right) { return *number(left) < *number(right); });
  }
  return names;
}

}  // namespace

double LabelSet::value_of(std::string_view label, const std::string& where) const {
  const std::optional<double> value = number(label);
  if (!has_classes()) {
    check(value.has_value(), ErrorKind::invalid, "{}: the label '{}' is no number", where,
          label.substr(0, 40));
    return *value;
  }
  const auto found = std::ranges::find(names, label);
  if (found != names.end()) return static_cast<double>(found - names.begin());
  const bool numbered =
      std::ranges::none_of(names, [](const std::string& name) { return number(name).has_value(); });
  const bool counts =
      numbered && value && is_whole(*value) && *value >= 0 && *value < static_cast<double>(names.size());
  check(counts, ErrorKind::invalid, "{}: the label '{}' is none of the classes {}", where,
        label.substr(0, 40), known_names(names));
  return *value;
}

LabelSet read_labels(std::span<const std::string> patterns, const std::vector<std::string>& columns,
                     Labelling labelling) {
  Seen seen;
  for (const std::string& pattern : patterns)
    read_rows(pattern, {"label", columns, true}, [&](const Row& row, const auto&) { seen.add(row); });
  const bool values =
      labelling == Labelling::values || (labelling == Labelling::automatic && seen.numbers && seen.fractions);
  if (values) {
    check(seen.numbers, ErrorKind::invalid, "{} is no number, which `task` regression needs",
          seen.first_text);
    return {};
  }
  check(seen.texts.size() <= most_classes, ErrorKind::invalid,
        "{}: more than {} different labels; `task` regression takes numbers as values",
        fmt::join(patterns, ", "), most_classes);
  check(seen.texts.size() > 1, ErrorKind::invalid,
        "{}: all rows have the label '{}', so nothing can be learned", fmt::join(patterns, ", "),
        seen.texts.begin()->substr(0, 40));
  return {ordered(seen)};
}

LabelSet read_labels(const std::string& pattern, const std::vector<std::string>& columns,
                     Labelling labelling) {
  return read_labels(std::span(&pattern, 1), columns, labelling);
}

}  // namespace lowrank
