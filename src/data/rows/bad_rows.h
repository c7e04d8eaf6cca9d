#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace lowrank {

/// Collects the errors of a file's rows, so that one error can report several of them.
class BadRows {
 public:
  /// Runs `action`, which reads a row, and keeps its error with `where` in front. `line`: as in DataRow.
  /// Errors: those that are not the row's fault; the collected ones once there are very many, or when the row
  /// is beyond the limits of a render (RenderLimit), since trying the next rows would take as long each.
  void attempt(const std::string& where, int64_t line, const std::function<void()>& action);

  /// Errors: the collected ones as a single error of the first one's kind, which gives each reason at its
  /// first row with the lines of the others; none if every row was good.
  void finish() const;

 private:
  struct Reason {
    std::string where, what;
    std::vector<int64_t> lines;  ///< of the next few rows with the same error
    int64_t rows = 0;
  };
  void note(const Error& error, std::string_view place, std::string what, int64_t line);
  std::string message() const;

  std::vector<Reason> reasons_;  ///< the first few
  int64_t rows_ = 0;
  bool stopped_ = false;
  ErrorKind kind_ = ErrorKind::corrupt;
};

}  // namespace lowrank
