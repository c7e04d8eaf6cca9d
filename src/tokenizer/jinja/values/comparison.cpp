#include "tokenizer/jinja/values/comparison.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace lowrank::jinja {
namespace {

/// -1, 0, 1, or 2 if one of them is not a number.
int order_of_mixed(int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= 0x1p63) return -1;
  if (b < -0x1p63) return 1;
  const double whole = std::trunc(b);
  const auto truncated = static_cast<int64_t>(whole);
  if (a != truncated) return a < truncated ? -1 : 1;
  return b == whole ? 0 : b > whole ? -1 : 1;
}

int order_of_digits(std::string_view a, std::string_view b) {
  const bool a_negative = a.starts_with('-'), b_negative = b.starts_with('-');
  if (a_negative != b_negative) return a_negative ? -1 : 1;
  int size = a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : a.compare(b);
  size = size < 0 ? -1 : size > 0 ? 1 : 0;
  return a_negative ? -size : size;
}

int order_of_numbers(const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  if (a.is(Kind::digits) && b.is(Kind::digits)) return order_of_digits(a.view(), b.view());
  if (a.is(Kind::real) && b.is(Kind::real)) {
    if (std::isnan(a.real()) || std::isnan(b.real())) return 2;
    return a.real() < b.real() ? -1 : a.real() > b.real() ? 1 : 0;
  }
  if (a.is_whole() && b.is(Kind::real)) return order_of_mixed(a.integer(), b.real());
  if (b.is(Kind::digits) && a.is_whole()) return b.view().starts_with('-') ? 1 : -1;
  if (b.is(Kind::digits)) return std::isinf(a.real()) == (a.real() > 0) ? 1 : -1;
  const int opposite = order_of_numbers(b, a);
  return opposite == 2 ? 2 : -opposite;
}

bool equal_sequences(const Sequence& a, const Sequence& b) {
  if (&a == &b) return true;
  if (a.row != b.row || a.row == Row::generator || a.items.size() != b.items.size()) return false;
  const Nesting nesting(a.heap());
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.entries.size() != b.entries.size()) return false;
  const Nesting nesting(a.heap());
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other && equal(entry.second, *other);
  });
}

}  // namespace

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is(Kind::digits) != b.is(Kind::digits)) return false;
    return order_of_numbers(a, b) == 0;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::text:
      a.text().heap().work_on(std::min(a.view().size(), b.view().size()));
      return a.view() == b.view();
    case Kind::sequence:
      return equal_sequences(a.sequence(), b.sequence());
    case Kind::dict:
      return equal_dicts(a.dict(), b.dict());
    default:
      return a.object() == b.object();
  }
}

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_text() || a.is_number()) return equal(a, b);
  return a.object() == b.object();
}

int order(const Value& a, const Value& b, std::string_view operation) {
  if (a.is_number() && b.is_number()) return order_of_numbers(a, b);
  if (a.is_text() && b.is_text()) {
    a.text().heap().work_on(std::min(a.view().size(), b.view().size()));
    const int result = a.view().compare(b.view());
    return result < 0 ? -1 : result > 0 ? 1 : 0;
  }
  if (a.is_undefined() || b.is_undefined()) {
    fail(ErrorKind::invalid, "{}", a.is_undefined() ? a.undefined_message() : b.undefined_message());
  }
  if (a.is(Kind::sequence) && b.is(Kind::sequence) && a.sequence().row == b.sequence().row &&
      a.sequence().row <= Row::tuple) {
    const Array<Value>&x = a.sequence().items, &y = b.sequence().items;
    const Nesting nesting(a.sequence().heap());
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(x[i], y[i])) return order(x[i], y[i], operation);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  }
  fail(ErrorKind::invalid, "'{}' not supported between instances of '{}' and '{}'", operation,
       type_name(a.kind()), type_name(b.kind()));
}

bool contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::undefined:
      return false;
    case Kind::text:
      check(item.is_text(), ErrorKind::invalid, "'in <string>' requires string as left operand, not {}",
            type_name(item.kind()));
      container.text().heap().work_on(container.view().size());
      return container.view().find(item.view()) != std::string_view::npos;
    case Kind::sequence: {
      Sequence& sequence = container.sequence();
      if (sequence.row == Row::generator && std::exchange(sequence.consumed, true)) return false;
      sequence.heap().work(static_cast<int64_t>(sequence.items.size()) / 4);
      return std::any_of(sequence.items.begin(), sequence.items.end(),
                         [&](const Value& other) { return equal(other, item); });
    }
    case Kind::dict:
      return container.dict().find(item) != nullptr;
    default:
      fail(ErrorKind::invalid, "argument of type '{}' is not iterable", type_name(container.kind()));
  }
}

}  // namespace lowrank::jinja
