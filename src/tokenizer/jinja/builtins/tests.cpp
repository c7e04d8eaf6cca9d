#include "tokenizer/jinja/builtins/tests.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/numbers.h"
#include "tokenizer/jinja/values/printing.h"

namespace lowrank::jinja {
namespace {

struct Test {
  std::string_view name;
  bool (*run)(const Call& call);
};

template <Kind kind>
bool is_kind(const Call& call) {
  (void)call.bind({});
  return call.subject.is(kind);
}

template <bool wanted>
bool is_defined(const Call& call) {
  (void)call.bind({});
  return call.subject.is_undefined() != wanted;
}

template <bool wanted>
bool is_boolean(const Call& call) {
  (void)call.bind({});
  return call.subject.is(Kind::boolean) && call.subject.boolean() == wanted;
}

bool is_integer(const Call& call) {
  (void)call.bind({});
  return call.subject.is(Kind::integer) || call.subject.is(Kind::digits);
}

bool is_number(const Call& call) {
  (void)call.bind({});
  return call.subject.is_number();
}

/// What Python can take the length of and index by key or number.
bool is_sequence(const Call& call) {
  (void)call.bind({});
  switch (call.subject.kind()) {
    case Kind::undefined:
    case Kind::text:
    case Kind::dict:
      return true;
    case Kind::sequence:
      return call.subject.sequence().row <= Row::range;
    default:
      return false;
  }
}

bool is_iterable(const Call& call) {
  (void)call.bind({});
  const Kind kind = call.subject.kind();
  return kind == Kind::undefined || kind == Kind::text || kind == Kind::dict || kind == Kind::sequence ||
         kind == Kind::loop;
}

bool is_callable(const Call& call) {
  (void)call.bind({});
  return call.subject.is(Kind::callable) || call.subject.is(Kind::loop) || call.subject.is_undefined();
}

/// `x % divisor == rest`.
bool leaves(const Call& call, const Value& divisor, int rest) {
  return equal(arithmetic(Operation::modulo, call.subject, divisor), rest);
}

template <int rest>
bool is_even_or_odd(const Call& call) {
  (void)call.bind({});
  return leaves(call, 2, rest);
}

bool is_divisible(const Call& call) {
  const auto [divisor, a, b, c, d, e] = call.bind({"num"}, 1);
  return leaves(call, *divisor, 0);
}

template <bool upper>
bool is_cased(const Call& call) {
  (void)call.bind({});
  const Value text = as_text(call.heap, call.subject);
  return upper ? is_upper(text.view()) : is_lower(text.view());
}

bool is_escaped(const Call& call) {
  (void)call.bind({});
  return call.subject.is_text() && call.subject.text().markup;
}

bool is_same(const Call& call) {
  const auto [other, a, b, c, d, e] = call.bind({"other"}, 1);
  return same(call.subject, *other);
}

bool is_in(const Call& call) {
  const auto [container, a, b, c, d, e] = call.bind({"seq"}, 1);
  return contains(*container, call.subject);
}

template <bool wanted>
bool is_equal(const Call& call) {
  const auto [other, a, b, c, d, e] = call.bind({"other"}, 1);
  return equal(call.subject, *other) == wanted;
}

template <int low, int high>
bool is_ordered(const Call& call) {
  constexpr std::string_view symbol = low == -1 ? (high == -1 ? "<" : "<=") : (low == 0 ? ">=" : ">");
  const auto [other, a, b, c, d, e] = call.bind({"other"}, 1);
  const int compared = order(call.subject, *other, symbol);
  return compared >= low && compared <= high;
}

bool is_filter(const Call& call) {
  (void)call.bind({});
  return call.subject.is_text() && filter_number(call.subject.view()) >= 0;
}

bool is_test(const Call& call) {
  (void)call.bind({});
  return call.subject.is_text() && test_number(call.subject.view()) >= 0;
}

constexpr std::array tests = {
    Test{"!=", is_equal<false>},
    Test{"<", is_ordered<-1, -1>},
    Test{"<=", is_ordered<-1, 0>},
    Test{"==", is_equal<true>},
    Test{">", is_ordered<1, 1>},
    Test{">=", is_ordered<0, 1>},
    Test{"boolean", is_kind<Kind::boolean>},
    Test{"callable", is_callable},
    Test{"defined", is_defined<true>},
    Test{"divisibleby", is_divisible},
    Test{"eq", is_equal<true>},
    Test{"equalto", is_equal<true>},
    Test{"escaped", is_escaped},
    Test{"even", is_even_or_odd<0>},
    Test{"false", is_boolean<false>},
    Test{"filter", is_filter},
    Test{"float", is_kind<Kind::real>},
    Test{"ge", is_ordered<0, 1>},
    Test{"greaterthan", is_ordered<1, 1>},
    Test{"gt", is_ordered<1, 1>},
    Test{"in", is_in},
    Test{"integer", is_integer},
    Test{"iterable", is_iterable},
    Test{"le", is_ordered<-1, 0>},
    Test{"lessthan", is_ordered<-1, -1>},
    Test{"lower", is_cased<false>},
    Test{"lt", is_ordered<-1, -1>},
    Test{"mapping", is_kind<Kind::dict>},
    Test{"ne", is_equal<false>},
    Test{"none", is_kind<Kind::none>},
    Test{"number", is_number},
    Test{"odd", is_even_or_odd<1>},
    Test{"sameas", is_same},
    Test{"sequence", is_sequence},
    Test{"string", is_kind<Kind::text>},
    Test{"test", is_test},
    Test{"true", is_boolean<true>},
    Test{"undefined", is_defined<false>},
    Test{"upper", is_cased<true>},
};

}  // namespace

int32_t test_number(std::string_view name) {
  const auto* found = std::lower_bound(tests.begin(), tests.end(), name,
                                       [](const Test& test, std::string_view n) { return test.name < n; });
  return found != tests.end() && found->name == name ? static_cast<int32_t>(found - tests.begin()) : -1;
}

std::string unknown_test(std::string_view name) {
  return fmt::format("no test named '{}'", name);
}

bool run_test(int32_t number, const Call& call) {
  return tests[static_cast<size_t>(number)].run(call);
}

}  // namespace lowrank::jinja
