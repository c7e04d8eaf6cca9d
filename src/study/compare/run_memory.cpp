#include "study/compare/run_memory.h"

#include <algorithm>
#include <fstream>

#include "base/process.h"

namespace lowrank {

RunMemory::RunMemory() {
  return_freed_memory();
  // proc(5): 5 sets the peak resident set size to its current value.
  std::ofstream reset("/proc/self/clear_refs");
  reset << '5' << std::flush;
  const bool written = static_cast<bool>(reset);
  sample();
  constexpr int64_t slack = 64 << 20;
  exact_ = written && peak_resident_bytes() <= largest_ + slack;
}

void RunMemory::sample() {
  largest_ = std::max(largest_, resident_bytes());
}

int64_t RunMemory::peak() {
  sample();
  return exact_ ? peak_resident_bytes() : largest_;
}

}  // namespace lowrank
