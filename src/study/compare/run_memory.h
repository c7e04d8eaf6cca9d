#pragma once

#include <cstdint>

namespace lowrank {

/// The most memory that this process takes while one run goes on, its base included. Where the system lets
/// the process begin its peak anew (Linux), it is the peak; elsewhere the largest of the samples.
class RunMemory {
 public:
  /// Returns freed memory to the system, and begins.
  RunMemory();
  /// Looks at the memory taken now.
  void sample();
  /// Bytes so far; 0 if unknown.
  int64_t peak();

 private:
  bool exact_ = false;
  int64_t largest_ = 0;
};

}  // namespace lowrank
