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
    // On a terminal, a message first clears any progress line.
    created->set_pattern(isatty(STDERR_FILENO) ? "\r\033[K%v" : "%v");
    return created;
  }();
  return *made;
}

/// Without anything that a terminal obeys, including two-byte control characters and bytes that are not
/// UTF-8.
std::string tame(std::string_view message) {
  std::string line(message);
  std::ranges::replace_if(
      line, [](unsigned char letter) { return letter < 0x20 || letter == 0x7f; }, ' ');
  return one_line(line, std::string::npos);
}

}  // namespace

// Passed as an argument, so that braces in the message are not taken as format fields.
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
