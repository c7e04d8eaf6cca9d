#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lowrank {

/// Messages for users, one line each on standard error. Results for programs never go here but to standard
/// output. Control characters (file names and model texts may hold them) become spaces. Safe to call from
/// several threads.
void log_info(std::string_view message);

/// As log_info, after "warning: ". Also shown when quiet.
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

/// Whether `info` prints nothing from now on (`--quiet`).
void set_quiet(bool quiet);
bool is_quiet();

}  // namespace lowrank
