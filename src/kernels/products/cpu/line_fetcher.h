#pragma once

#include <algorithm>
#include <cstdint>

namespace lowrank {

/// Prefetches rows of memory into the second-level cache, a few lines at a time, so that arithmetic goes on:
/// with bursts the processor would stall once its miss buffers are full.
class LineFetcher {
 public:
  LineFetcher() = default;

  /// `rows` rows of `row_bytes`, `stride` bytes from one to the next.
  LineFetcher(const void* first, int64_t stride, int64_t row_bytes, int64_t rows)
      : row_(static_cast<const char*>(first)),
        stride_(stride),
        row_lines_((row_bytes + line_bytes - 1) / line_bytes),
        left_(row_lines_ * rows) {}

  /// Lines not fetched yet.
  int64_t left() const { return left_; }

  __attribute__((always_inline)) void fetch(int64_t lines) {
    constexpr int read = 0, second_level = 2;
    for (int64_t i = std::min(lines, left_); i > 0; --i, --left_) {
      __builtin_prefetch(row_ + line_ * line_bytes, read, second_level);
      if (++line_ < row_lines_) continue;
      line_ = 0;
      row_ += stride_;
    }
  }

 private:
  static constexpr int64_t line_bytes = 64;

  const char* row_ = nullptr;
  int64_t stride_ = 0, row_lines_ = 0, left_ = 0, line_ = 0;
};

}  // namespace lowrank
