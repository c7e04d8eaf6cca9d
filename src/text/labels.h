#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// What the rows of a data set are labelled with: classes, or values (regression).
struct LabelSet {
  std::vector<std::string> names;  ///< of the classes, in the order of their numbers; empty: values

  bool has_classes() const { return !names.empty(); }
  /// Outputs of a head: one a class, or the one value.
  int64_t outputs() const { return has_classes() ? static_cast<int64_t>(names.size()) : 1; }

  /// The number of the class that a row's label names (by its name; by its number where no name is a number),
  /// or its value. Errors: invalid, `where` and the known names in front, for any other label.
  double value_of(std::string_view label, const std::string& where) const;
};

/// What labels are taken for.
enum class Labelling { automatic, classes, values };

/// The labels of the rows that `pattern` names: values where one is a number with a fraction, else classes,
/// in numerical or alphabetical order. Errors: as read_rows; invalid when all rows have one label, or more
/// than 1,000 different ones are classes, or values are no numbers.
LabelSet read_labels(const std::string& pattern, const std::vector<std::string>& columns,
                     Labelling labelling);

}  // namespace lowrank
