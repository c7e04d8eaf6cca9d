#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace lowrank {

/// Gathers what is wrong with the rows of a file, so that one error tells of several of them.
class BadRows {
 public:
  /// Runs what a row is read by and keeps its error, `where` in front. `line`: as in DataRow. Errors: those
  /// that are not the row's fault; the gathered ones after very many.
  void attempt(const std::string& where, int64_t line, const std::function<void()>& action);

  /// Errors: the gathered ones as one, of the first one's kind: each reason at its first row, with the lines
  /// of the others; nothing where every row was good.
  void finish() const;

 private:
  struct Reason {
    std::string where, what;
    std::vector<int64_t> lines;  ///< of the first few rows that have it
    int64_t rows = 0;
  };
  std::string message() const;

  std::vector<Reason> reasons_;  ///< the first few
  int64_t rows_ = 0;
  bool stopped_ = false;
  ErrorKind kind_ = ErrorKind::corrupt;
};

}  // namespace lowrank
