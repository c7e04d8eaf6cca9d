#include <lowrank/lowrank.h>

#include "base/log.h"
#include "base/version.h"
#include "kernels/core/prepare_kernels.h"
#include "library/guard.h"

namespace lowrank {

std::recursive_mutex& computing() {
  static std::recursive_mutex made;
  return made;
}

std::string_view version() {
  return program_version();
}

void set_log(std::function<void(bool warning, std::string_view line)> sink) {
  if (!sink) return set_log_sink({});
  set_log_sink([sink = std::move(sink)](LogLevel level, std::string_view line) {
    sink(level == LogLevel::warning, line);
  });
}

void prepare_process() {
  prepare_kernels();
}

}  // namespace lowrank
