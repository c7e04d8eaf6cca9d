#include "tokenizer/jinja/values/calendar_time.h"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "base/error.h"

namespace lowrank::jinja {
namespace {

constexpr std::array<std::string_view, 7> days = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                  "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> months = {"January",   "February", "March",    "April",
                                                     "May",       "June",     "July",     "August",
                                                     "September", "October",  "November", "December"};

bool leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int day_of_year(const CalendarTime& time) {
  constexpr std::array<int, 12> before = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  return before[static_cast<size_t>(time.month - 1)] + time.day + (time.month > 2 && leap(time.year) ? 1 : 0);
}

/// From Sunday, 0.
int weekday(const CalendarTime& time) {
  const int y = time.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(time)) % 7;
}

int hour_of_twelve(const CalendarTime& time) {
  return time.hour % 12 == 0 ? 12 : time.hour % 12;
}

std::string directive(const CalendarTime& t, char letter) {
  const std::string_view day = days[static_cast<size_t>(weekday(t))];
  const std::string_view month = months[static_cast<size_t>(t.month - 1)];
  switch (letter) {
    case 'a':
      return std::string(day.substr(0, 3));
    case 'A':
      return std::string(day);
    case 'b':
    case 'h':
      return std::string(month.substr(0, 3));
    case 'B':
      return std::string(month);
    case 'd':
      return fmt::format("{:02}", t.day);
    case 'D':
      return fmt::format("{:02}/{:02}/{:02}", t.month, t.day, t.year % 100);
    case 'e':
      return fmt::format("{:2}", t.day);
    case 'F':
      return fmt::format("{}-{:02}-{:02}", t.year, t.month, t.day);
    case 'H':
      return fmt::format("{:02}", t.hour);
    case 'I':
      return fmt::format("{:02}", hour_of_twelve(t));
    case 'j':
      return fmt::format("{:03}", day_of_year(t));
    case 'm':
      return fmt::format("{:02}", t.month);
    case 'M':
      return fmt::format("{:02}", t.minute);
    case 'n':
      return "\n";
    case 'p':
      return t.hour < 12 ? "AM" : "PM";
    case 'R':
      return fmt::format("{:02}:{:02}", t.hour, t.minute);
    case 'S':
      return fmt::format("{:02}", t.second);
    case 't':
      return "\t";
    case 'T':
      return fmt::format("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    case 'u':
      return fmt::format("{}", weekday(t) == 0 ? 7 : weekday(t));
    case 'w':
      return fmt::format("{}", weekday(t));
    case 'y':
      return fmt::format("{:02}", t.year % 100);
    case 'Y':
      return fmt::format("{}", t.year);
    case '%':
      return "%";
    default:
      break;
  }
  fail(ErrorKind::unsupported, "strftime_now does not support the directive '%{}'", letter);
}

std::string unpadded(const CalendarTime& t, char letter) {
  switch (letter) {
    case 'd':
      return fmt::format("{}", t.day);
    case 'm':
      return fmt::format("{}", t.month);
    case 'H':
      return fmt::format("{}", t.hour);
    case 'I':
      return fmt::format("{}", hour_of_twelve(t));
    case 'M':
      return fmt::format("{}", t.minute);
    case 'S':
      return fmt::format("{}", t.second);
    default:
      break;
  }
  fail(ErrorKind::unsupported, "strftime_now does not support the directive '%-{}'", letter);
}

}  // namespace

CalendarTime present_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return {local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec};
}

std::string format_time(const CalendarTime& time, std::string_view format) {
  check(format.size() <= 10'000, ErrorKind::invalid, "a format of strftime_now longer than 10000 bytes");
  std::string result;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      result += format[i];
      continue;
    }
    const bool bare = i + 1 < format.size() && format[i + 1] == '-';
    const size_t letter = i + (bare ? 2 : 1);
    check(letter < format.size() && static_cast<unsigned char>(format[letter]) < 0x80, ErrorKind::unsupported,
          "a format of strftime_now has a '%' without a directive");
    result += bare ? unpadded(time, format[letter]) : directive(time, format[letter]);
    i = letter;
  }
  return result;
}

}  // namespace lowrank::jinja
