#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/process.h"

namespace lowrank {

/// What a progress line shows besides the count; empty values are left out.
struct ProgressNumbers {
  std::optional<double> loss;  ///< mean over target tokens
  std::optional<double> tokens_per_second;
  std::optional<int64_t> memory_bytes;
  std::optional<double> seconds_left;
  std::optional<double> learning_rate = {};
  std::optional<double> evaluation_loss = {};  ///< of the last evaluation
};

/// A duration as 2:31 or 1:02:31.
std::string clock_text(double seconds);

/// "step 120/500  loss 1.234  eval 1.301  lr 1.8e-04  812 tok/s  1.1 GB  2:31 left"; parts are dropped
/// (memory first, the count never) until the line fits into `width` columns.
std::string progress_line(std::string_view unit, int64_t done, int64_t total, const ProgressNumbers& numbers,
                          size_t width);

/// Where the lines go; `standard_error()` unless a test says otherwise.
struct ProgressOutput {
  std::function<void(std::string_view)> write;
  bool terminal = false;                   ///< rewrite one line, or write plain lines
  std::function<size_t()> columns;         ///< the terminal's current width
  double seconds_between = 0;              ///< minimum time between two lines
  int64_t rounds_between = 0;              ///< 0, or plain lines come after so many rounds instead
  static ProgressOutput standard_error();  ///< ten lines per second on a terminal, else one every ten seconds
};

/// A one-line display of a loop of `total` rounds.
class Progress {
 public:
  /// `first` rounds were done earlier (a resumed run); the time left is estimated without them.
  Progress(std::string unit, int64_t total, int64_t first = 0,
           ProgressOutput output = ProgressOutput::standard_error());
  /// Ends the line on a terminal, so that an error message starts on its own.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Call after round `done` (counted from 1). Draws only when due, and always for the last round.
  /// `seconds_left` is estimated from the time since the display was made, unless given. `now` is in
  /// monotonic_seconds().
  void update(int64_t done, ProgressNumbers numbers, double now = monotonic_seconds());
  /// Removes the line from a terminal until the next update, so that a message can take its place.
  void clear();

 private:
  bool due(int64_t done, double now) const;

  std::string unit_;
  int64_t total_, first_;
  ProgressOutput output_;
  double started_, drawn_;
  bool line_open_ = false;
};

}  // namespace lowrank
