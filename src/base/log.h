#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lowrank {

enum class LogLevel { info, warning };

/// Receives messages, one line each. Called from any thread that logs.
using LogSink = std::function<void(LogLevel level, std::string_view line)>;

/// Where messages go from now on; an empty sink stands for `log_to_standard_error`, the initial one.
void set_log_sink(LogSink sink);

/// Writes the line to standard error, warnings after "warning: " (yellow if it shows colours).
void log_to_standard_error(LogLevel level, std::string_view line);

/// Messages for users, to the sink. Results for programs never go here but to standard output. Control
/// characters (file names and model texts may hold them) become spaces. An option is named in backticks, as
/// in files: `max_length`. Safe to call from several threads.
void log_info(std::string_view message);

/// The same for warnings.
void log_warning(std::string_view message);

/// Formats as fmt::format does.
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  log_info(fmt::format(format, std::forward<Args>(args)...));
}

/// Formats as fmt::format does.
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  log_warning(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace lowrank
