#include "base/process.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

#include "base/cpu_features.h"

namespace lowrank {
namespace {

/// A "Name:   123 kB" line of /proc/self/status in bytes. (getrusage's peak would count what ran before
/// exec.)
int64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  return 0;
}

}  // namespace

int64_t resident_bytes() {
  return status_bytes("VmRSS");
}
int64_t peak_resident_bytes() {
  return status_bytes("VmHWM");
}

int64_t machine_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
  return pages > 0 && size > 0 ? int64_t{pages} * size : 0;
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool standard_error_redraws() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && !(terminal && std::string_view(terminal) == "dumb");
}

bool standard_error_has_colours() {
  const char* refused = std::getenv("NO_COLOR");
  return standard_error_redraws() && !(refused && *refused);
}

void set_library_defaults() {
  constexpr int keep = 0;  // what the user has set stays
  setenv("MKL_CBWR", "AUTO,STRICT", keep);
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", keep);
  setenv("LRU_CACHE_CAPACITY", "64", keep);
  for (const auto& [name, value] : library_limits(detect_cpu(), cpu_level()))
    setenv(name.c_str(), value.c_str(), keep);
#ifdef __GLIBC__
  constexpr int largest = 1 << 30, never = -1;
  if (!getenv("MALLOC_MMAP_THRESHOLD_")) mallopt(M_MMAP_THRESHOLD, largest);
  if (!getenv("MALLOC_TRIM_THRESHOLD_")) mallopt(M_TRIM_THRESHOLD, never);
#endif
}

void return_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace lowrank
