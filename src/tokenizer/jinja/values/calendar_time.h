#pragma once

#include <string>
#include <string_view>

namespace lowrank::jinja {

/// A moment of a local clock.
struct CalendarTime {
  int year = 1970, month = 1, day = 1;  ///< from 1
  int hour = 0, minute = 0, second = 0;
};

/// The local clock's present moment.
CalendarTime present_time();

/// Python's datetime.strftime in the C locale, for %a %A %b %B %d %D %e %F %H %I %j %m %M %n %p %R %S %t %T
/// %u %w %y %Y %-d %-m %-H %-I %-M %-S and %%. Errors: unsupported for any other directive.
std::string format_time(const CalendarTime& time, std::string_view format);

}  // namespace lowrank::jinja
