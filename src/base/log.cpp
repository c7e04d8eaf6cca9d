#include "base/log.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unistd.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/one_line.h"

namespace lowrank {
namespace {

/// Our logger in spdlog's registry; made on first use.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> made = [] {
    auto created = spdlog::stderr_logger_mt("lowrank");
    // On a terminal a message first wipes the progress line that may stand there.
    created->set_pattern(isatty(STDERR_FILENO) ? "\r\033[K%v" : "%v");
    return created;
  }();
  return *made;
}

/// Without what a terminal obeys: also the two-byte control characters, and bytes that are no UTF-8.
std::string tame(std::string_view message) {
  std::string line(message);
  std::ranges::replace_if(
      line, [](unsigned char letter) { return letter < 0x20 || letter == 0x7f; }, ' ');
  return one_line(line, std::string::npos);
}

}  // namespace

// Handed over as an argument: a brace in the message is no format.
void log_info(std::string_view message) {
  logger().info("{}", tame(message));
}
void log_warning(std::string_view message) {
  logger().warn("warning: {}", tame(message));
}

void set_quiet(bool quiet) {
  logger().set_level(quiet ? spdlog::level::warn : spdlog::level::info);
}
bool is_quiet() {
  return logger().level() > spdlog::level::info;
}

}  // namespace lowrank
