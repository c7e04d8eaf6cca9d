#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank {

/// Which rows of a data set are no examples of it: those without a target, and those that are dropped for
/// their length. Rows are counted from 0 through all files.
class LeftOutRows {
 public:
  /// Adds a row, which comes after all rows added before.
  void add(int64_t row);

  bool empty() const { return runs_.empty(); }
  int64_t count() const { return count_; }
  /// The row after the last one that is left out.
  int64_t end() const { return runs_.empty() ? 0 : runs_.back().end; }

  /// Each run of adjacent rows as the number of rows between it and the run before, and its length: "4 1 7 2"
  /// for the rows 4, 12 and 13.
  std::string text() const;
  /// The rows of such a text. Errors: corrupt for other texts; `where` names it.
  static LeftOutRows of_text(std::string_view text, const std::string& where);

 private:
  friend class ExampleNumbers;
  struct Run {
    int64_t begin = 0, end = 0;
  };
  std::vector<Run> runs_;
  int64_t count_ = 0;
};

/// The examples' numbers by row: a row's example is its number less that of the rows left out before it.
class ExampleNumbers {
 public:
  /// `rows`: their number, with those left out, none of which is beyond it.
  ExampleNumbers(const LeftOutRows& left_out, int64_t rows);

  /// Nothing for a row that is left out.
  std::optional<int64_t> of(int64_t row) const;

 private:
  std::vector<uint64_t> left_out_;  ///< a bit per row
  std::vector<int64_t> before_;     ///< rows left out before each word of bits
};

}  // namespace lowrank
