#include "tokenizer/jinja/values/numbers.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"

namespace lowrank::jinja {
namespace {

[[noreturn]] void too_large(Operation operation) {
  fail(ErrorKind::invalid, "the result of `{}` does not fit 64 bits", symbol(operation));
}

int64_t whole_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) too_large(Operation::power);
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) too_large(Operation::power);
  }
  return result;
}

Value whole_arithmetic(Operation operation, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (operation) {
    case Operation::add:
      if (__builtin_add_overflow(a, b, &result)) too_large(operation);
      return result;
    case Operation::subtract:
      if (__builtin_sub_overflow(a, b, &result)) too_large(operation);
      return result;
    case Operation::multiply:
      if (__builtin_mul_overflow(a, b, &result)) too_large(operation);
      return result;
    case Operation::divide:
      check(b != 0, ErrorKind::invalid, "division by zero");
      return static_cast<double>(a) / static_cast<double>(b);
    case Operation::floor_divide:
    case Operation::modulo: {
      check(b != 0, ErrorKind::invalid, "integer division or modulo by zero");
      if (b == -1) {
        if (operation == Operation::modulo) return 0;
        return whole_arithmetic(Operation::subtract, 0, a);
      }
      const bool inexact = a % b != 0 && (a < 0) != (b < 0);
      if (operation == Operation::floor_divide) return a / b - (inexact ? 1 : 0);
      return a % b + (inexact ? b : 0);
    }
    case Operation::power: {
      if (b >= 0) return whole_power(a, b);
      check(a != 0, ErrorKind::invalid, "0.0 cannot be raised to a negative power");
      return std::pow(static_cast<double>(a), static_cast<double>(b));
    }
  }
  return result;
}

double floor_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_quotient(double a, double b) {
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

double real_power(double a, double b) {
  check(a != 0 || b >= 0, ErrorKind::invalid, "0.0 cannot be raised to a negative power");
  check(a >= 0 || std::floor(b) == b, ErrorKind::unsupported,
        "a negative number to a fractional power, a complex number, is not supported");
  const double result = std::pow(a, b);
  check(std::isfinite(result) || !std::isfinite(a) || !std::isfinite(b), ErrorKind::invalid,
        "the result of `**` is too large");
  return result;
}

}  // namespace

std::string_view symbol(Operation operation) {
  constexpr std::array<std::string_view, 7> symbols = {"+", "-", "*", "/", "//", "%", "**"};
  return symbols[static_cast<size_t>(operation)];
}

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific).ptr;
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::array<char, 512> plain{};
  const auto last =
      std::to_chars(plain.data(), plain.data() + plain.size(), number, std::chars_format::fixed).ptr;
  std::string result(plain.data(), last);
  if (result.find('.') == std::string::npos) result += ".0";
  return result;
}

std::optional<int64_t> whole_number(std::string_view text, int base) {
  std::string digits(without_spaces(text));
  bool negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    digits.erase(0, 1);
  }
  const std::string prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
  if (!prefix.empty() && digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == prefix[1]) {
    digits.erase(0, 2);
    if (digits.starts_with('_')) digits.erase(0, 1);
  }
  std::string plain;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] == '_') {
      if (i == 0 || i + 1 == digits.size() || digits[i - 1] == '_') return std::nullopt;
    } else {
      plain += digits[i];
    }
  }
  if (plain.empty() || plain[0] == '-' || plain[0] == '+') return std::nullopt;
  std::string whole(negative ? 1 : 0, '-');
  whole += plain;
  int64_t number = 0;
  const auto result = std::from_chars(whole.data(), whole.data() + whole.size(), number, base);
  if (result.ptr != whole.data() + whole.size() || result.ec != std::errc()) return std::nullopt;
  return number;
}

std::optional<double> real_number(std::string_view text) {
  text = without_spaces(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  std::string plain(text);
  std::erase(plain, '_');
  double number = 0;
  const auto result = std::from_chars(plain.data(), plain.data() + plain.size(), number);
  if (plain.empty() || result.ptr != plain.data() + plain.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const bool small = plain.find("e-") != std::string::npos || plain.find("E-") != std::string::npos;
    const double magnitude = small ? 0.0 : std::numeric_limits<double>::infinity();
    return plain[0] == '-' ? -magnitude : magnitude;
  }
  return number;
}

double as_real(const Value& value) {
  if (value.is_undefined()) fail(ErrorKind::invalid, "{}", value.undefined_message());
  check(!value.is(Kind::digits), ErrorKind::unsupported,
        "arithmetic with integers beyond 64 bits is not supported");
  check(value.is_number(), ErrorKind::invalid, "a number is needed, not '{}'", type_name(value.kind()));
  return value.is_whole() ? static_cast<double>(value.integer()) : value.real();
}

Value arithmetic(Operation operation, const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return whole_arithmetic(operation, a.integer(), b.integer());
  const double x = as_real(a), y = as_real(b);
  switch (operation) {
    case Operation::add:
      return x + y;
    case Operation::subtract:
      return x - y;
    case Operation::multiply:
      return x * y;
    case Operation::power:
      return real_power(x, y);
    default:
      break;
  }
  check(y != 0, ErrorKind::invalid, "float division by zero");
  if (operation == Operation::divide) return x / y;
  return operation == Operation::modulo ? floor_modulo(x, y) : floor_quotient(x, y);
}

Value negated(const Value& value) {
  if (value.is_whole()) return whole_arithmetic(Operation::subtract, 0, value.integer());
  return -as_real(value);
}

Value absolute(const Value& value) {
  if (value.is_whole()) return value.integer() < 0 ? negated(value) : Value(value.integer());
  return std::abs(as_real(value));
}

double rounded(double number, int digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < -300) return std::copysign(0.0, number);
  if (digits >= 0) return *real_number(fmt::format("{:.{}f}", number, digits));
  const double scale = std::pow(10.0, -digits);
  return std::nearbyint(number / scale) * scale;
}

}  // namespace lowrank::jinja
