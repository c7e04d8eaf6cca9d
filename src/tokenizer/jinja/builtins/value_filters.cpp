#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/values/json_values.h"
#include "tokenizer/jinja/values/numbers.h"

namespace lowrank::jinja {
namespace {

Value default_filter(const Call& call) {
  const auto [otherwise, boolean, a, b, c, d] = call.bind({"default_value", "boolean"});
  const bool missing =
      call.subject.is_undefined() || (boolean && boolean->truthy() && !call.subject.truthy());
  if (!missing) return call.subject;
  return otherwise ? *otherwise : text_value(call.heap, "");
}

Value to_json(const Call& call) {
  const auto [ascii, indent, separators, sort, a, b] =
      call.bind({"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = ascii && ascii->truthy();
  style.sort_keys = sort && sort->truthy();
  if (indent && indent->is_text()) {
    style.indent = std::string(indent->view());
  } else if (indent && !indent->is_none()) {
    const int64_t width = whole_argument(*indent, call.function, "indent");
    check(width <= call.heap.limits().width, ErrorKind::invalid, "an indent above the limit of {}",
          call.heap.limits().width);
    style.indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  if (style.indent) style.between_items = ",";
  if (separators && !separators->is_none()) {
    const Ref<Sequence> pair = items_of(call.heap, *separators);
    check(pair->items.size() == 2, ErrorKind::invalid, "tojson needs two separators");
    style.between_items = text_argument(pair->items[0], call.function, "a separator").view();
    style.after_key = text_argument(pair->items[1], call.function, "a separator").view();
  }
  return text_value(json_dump(call.heap, call.subject, style));
}

Value length(const Call& call) {
  (void)call.bind({});
  return length_of(call.subject);
}

/// An integer of any size, kept as digits beyond 64 bits.
Value whole_value(Heap& heap, const std::string& digits) {
  if (const auto number = whole_number(digits)) return *number;
  return {Kind::digits, heap.make<TextObject>(Text(heap, digits))};
}

Value whole_from_real(Heap& heap, double number, const Value& otherwise) {
  return std::isfinite(number) ? whole_value(heap, fmt::format("{:.0f}", std::trunc(number))) : otherwise;
}

/// Whether the text is an integer in Python's decimal notation without underscores.
bool is_digits(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Value to_int(const Call& call) {
  const auto [otherwise, base, a, b, c, d] = call.bind({"default", "base"});
  const Value fallback = otherwise ? *otherwise : Value(0);
  const int64_t in_base = base ? whole_argument(*base, call.function, "base") : 10;
  check(in_base >= 2 && in_base <= 36, ErrorKind::invalid, "a base of int from 2 to 36 is needed");
  const Value& value = call.subject;
  if (value.is_undefined()) fail(ErrorKind::invalid, "{}", value.undefined_message());
  if (value.is_whole()) return value.integer();
  if (value.is(Kind::digits)) return value;
  if (value.is(Kind::real)) return whole_from_real(call.heap, value.real(), fallback);
  if (!value.is_text()) return fallback;
  if (const auto number = whole_number(value.view(), static_cast<int>(in_base))) return *number;
  if (in_base == 10 && is_digits(value.view())) {
    const size_t first = value.view().find_first_not_of("+-0");
    return whole_value(call.heap,
                       (value.view()[0] == '-' ? "-" : "") + std::string(value.view().substr(first)));
  }
  const auto number = real_number(value.view());
  return number ? whole_from_real(call.heap, *number, fallback) : fallback;
}

Value to_float(const Call& call) {
  const auto [otherwise, a, b, c, d, e] = call.bind({"default"});
  const Value fallback = otherwise ? *otherwise : Value(0.0);
  if (call.subject.is_whole() || call.subject.is(Kind::real)) return as_real(call.subject);
  if (call.subject.is_undefined()) fail(ErrorKind::invalid, "{}", call.subject.undefined_message());
  if (!call.subject.is_text()) return fallback;
  const auto number = real_number(call.subject.view());
  return number ? Value(*number) : fallback;
}

Value absolute_filter(const Call& call) {
  (void)call.bind({});
  return absolute(call.subject);
}

Value round_filter(const Call& call) {
  const auto [precision, method, a, b, c, d] = call.bind({"precision", "method"});
  const int64_t digits = precision ? whole_argument(*precision, call.function, "precision") : 0;
  check(digits >= -300 && digits <= 300, ErrorKind::invalid,
        "a precision of round from -300 to 300 is needed");
  const std::string_view how = method ? text_argument(*method, call.function, "method").view() : "common";
  if (how == "common") {
    if (call.subject.is_whole() && digits >= 0) return call.subject.integer();
    check(!call.subject.is_whole(), ErrorKind::unsupported, "round of an integer to tens is not supported");
    return rounded(as_real(call.subject), static_cast<int>(digits));
  }
  check(how == "ceil" || how == "floor", ErrorKind::invalid, "method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(digits)), number = as_real(call.subject) * scale;
  return (how == "ceil" ? std::ceil(number) : std::floor(number)) / scale;
}

Value attribute_filter(const Call& call) {
  const auto [name, a, b, c, d, e] = call.bind({"name"}, 1);
  const Text& wanted = text_argument(*name, call.function, "name");
  if (call.subject.is_undefined()) fail(ErrorKind::invalid, "{}", call.subject.undefined_message());
  // Attributes only: a dict's keys are not attributes.
  if (call.subject.is(Kind::dict)) {
    const Ref<Dict> empty = call.heap.make<Dict>();
    const Value method = item_of(call.heap, empty, *name);
    check(method.is_undefined(), ErrorKind::unsupported,
          "a method through the filter 'attr' is not supported");
    return Value::undefined(nullptr, Kind::dict);
  }
  return item_of(call.heap, call.subject, text_value(call.heap, wanted.view()));
}

constexpr std::array filters = {
    Filter{"abs", absolute_filter}, Filter{"attr", attribute_filter},  Filter{"count", length},
    Filter{"d", default_filter},    Filter{"default", default_filter}, Filter{"float", to_float},
    Filter{"int", to_int},          Filter{"length", length},          Filter{"round", round_filter},
    Filter{"tojson", to_json},
};

}  // namespace

std::span<const Filter> value_filters() {
  return filters;
}

}  // namespace lowrank::jinja
