#include "base/log.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/one_line.h"
#include "base/process.h"

namespace lowrank {
namespace {

/// Made on first use; spdlog's registry, which the host process may use, does not know it.
spdlog::logger& standard_error() {
  static spdlog::logger made = [] {
    spdlog::logger created("lowrank", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    // On a terminal, a message first clears any progress line.
    created.set_pattern(standard_error_redraws() ? "\r\033[K%v" : "%v");
    return created;
  }();
  return made;
}

struct Destination {
  std::mutex mutex;
  LogSink sink;
};

Destination& destination() {
  static Destination made;
  return made;
}

/// Without anything that a terminal obeys, including two-byte control characters and bytes that are not
/// UTF-8.
std::string tame(std::string_view message) {
  std::string line(message);
  std::ranges::replace_if(
      line, [](unsigned char letter) { return letter < 0x20 || letter == 0x7f; }, ' ');
  return one_line(line, std::string::npos);
}

void log(LogLevel level, std::string_view message) {
  const std::string line = tame(message);
  LogSink sink;
  {
    const std::lock_guard lock(destination().mutex);
    sink = destination().sink;
  }
  sink ? sink(level, line) : log_to_standard_error(level, line);
}

}  // namespace

// Passed as an argument, so that braces in the message are not taken as format fields.
void log_to_standard_error(LogLevel level, std::string_view line) {
  static const bool colours = standard_error_has_colours();
  const char* mark = level == LogLevel::info ? "" : colours ? "\033[33mwarning:\033[0m " : "warning: ";
  standard_error().info("{}{}", mark, line);
}

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(destination().mutex);
  destination().sink = std::move(sink);
}

void log_info(std::string_view message) {
  log(LogLevel::info, message);
}
void log_warning(std::string_view message) {
  log(LogLevel::warning, message);
}

}  // namespace lowrank
