#include "data/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "data/rows/rows.h"

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
  std::string first_list;  ///< where the first list of labels is; empty: there is none

  void add(const Row& row) {
    if (!row.lists_classes) return add(row.label, row.where);
    if (first_list.empty()) first_list = row.where;
    for (const std::string& label : row.classes) add(label, row.where);
  }

  void add(const std::string& label, const std::string& where) {
    const std::optional<double> value = number(label);
    if (!value && numbers) first_text = fmt::format("{}: the label '{}'", where, label.substr(0, 40));
    numbers &= value.has_value();
    fractions |= value && !is_whole(*value);
    if (texts.size() <= most_classes) texts.insert(label);
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

std::vector<int64_t> LabelSet::classes_of(std::span<const std::string> labels,
                                          const std::string& where) const {
  std::set<int64_t> classes;
  for (const std::string& label : labels) classes.insert(static_cast<int64_t>(value_of(label, where)));
  return {classes.begin(), classes.end()};
}

LabelSet read_labels(std::span<const std::string> patterns, const std::vector<std::string>& columns,
                     Labelling labelling) {
  Seen seen;
  for (const std::string& pattern : patterns)
    read_rows(pattern, {"label", columns, true}, [&](const Row& row, const auto&) { seen.add(row); });
  const bool several = !seen.first_list.empty();
  const bool values = labelling == Labelling::values ||
                      (labelling == Labelling::automatic && !several && seen.numbers && seen.fractions);
  if (values) {
    check(!several, ErrorKind::invalid, "{}: a list of labels, where `task` regression needs a number",
          seen.first_list);
    check(seen.numbers, ErrorKind::invalid, "{} is no number, which `task` regression needs",
          seen.first_text);
    return {};
  }
  check(seen.texts.size() <= most_classes, ErrorKind::invalid,
        "{}: more than {} different labels; `task` regression takes numbers as values",
        fmt::join(patterns, ", "), most_classes);
  check(!seen.texts.empty(), ErrorKind::invalid, "{}: all rows have an empty list of labels",
        fmt::join(patterns, ", "));
  if (several) return {ordered(seen), true};
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
