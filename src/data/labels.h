#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// The labels of a data set's rows: classes, or values (regression).
struct LabelSet {
  std::vector<std::string> names;  ///< of the classes, by class number; empty: values
  bool several = false;            ///< a text may have none, one or several of the classes

  bool has_classes() const { return !names.empty(); }
  /// Outputs of a head: one per class, or one for the value.
  int64_t outputs() const { return has_classes() ? static_cast<int64_t>(names.size()) : 1; }

  /// The number of the class that a row's label names (by its name, or by its number if no name is a number),
  /// or its value. Errors: invalid for any other label, with `where` and the known names.
  double value_of(std::string_view label, const std::string& where) const;

  /// The numbers of the classes that a row lists, ascending, each once. Errors: as value_of.
  std::vector<int64_t> classes_of(std::span<const std::string> labels, const std::string& where) const;
};

/// How labels are interpreted.
enum class Labelling { automatic, classes, values };

/// The labels of the rows that the patterns name. `automatic`: values if all are numbers and one has a
/// fraction, else classes; several per text if a row has a list of them. Classes are in numerical or
/// alphabetical order. Errors: as read_rows; invalid if there is only one class (not for lists) or more than
/// 1,000, or if values are not numbers or are lists.
LabelSet read_labels(std::span<const std::string> patterns, const std::vector<std::string>& columns,
                     Labelling labelling);
LabelSet read_labels(const std::string& pattern, const std::vector<std::string>& columns,
                     Labelling labelling);

}  // namespace lowrank
