#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Python's repr of a float: the shortest digits that give the same number, an exponent below -4 or from 16.
std::string float_text(double number);

/// Python's int(text) in a base, none if the text is no such number or does not fit 64 bits.
std::optional<int64_t> whole_number(std::string_view text, int base = 10);

/// Python's float(text).
std::optional<double> real_number(std::string_view text);

enum class Operation { add, subtract, multiply, divide, floor_divide, modulo, power };
std::string_view symbol(Operation operation);

/// Python's arithmetic of two numbers. Errors: invalid when the result is no 64-bit integer, for a division
/// by zero, and for integers beyond 64 bits.
Value arithmetic(Operation operation, const Value& a, const Value& b);

/// A number as a double. Errors: invalid when it is none or an integer beyond 64 bits.
double as_real(const Value& value);

/// -x and abs(x). Errors: as `arithmetic`; invalid when it is no number.
Value negated(const Value& value);
Value absolute(const Value& value);

/// Python's round(x, digits), half to even, as a float. Errors: invalid when it is no number.
double rounded(double number, int digits);

}  // namespace lowrank::jinja
