#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/builtins/methods.h"
#include "tokenizer/jinja/builtins/printf_format.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

constexpr int64_t to_end = std::numeric_limits<int64_t>::max();

/// The subject as text; a safe string is refused where Markup would escape the arguments.
const Text& plain(const Call& call) {
  const Text& text = call.subject.text();
  check(!text.markup, ErrorKind::unsupported, "{} of a safe string is not supported", call.function);
  return text;
}

const Text& text(const Value* value, const Call& call, std::string_view what) {
  return text_argument(*value, call.function, what);
}

int64_t whole(const Value* value, const Call& call, std::string_view what, int64_t otherwise) {
  return value && !value->is_none() ? whole_argument(*value, call.function, what) : otherwise;
}

template <std::string (*change)(std::string_view)>
Value cased(const Call& call) {
  (void)call.bind({});
  return text_value(changed(call.subject.text(), change));
}

Value capitalize_method(const Call& call) {
  (void)call.bind({});
  return text_value(capitalize(call.subject.text()));
}

Value title_method(const Call& call) {
  (void)call.bind({});
  return text_value(title(call.subject.text()));
}

template <bool left, bool right>
Value strip_method(const Call& call) {
  const auto [characters, a, b, c, d, e] = call.bind({"chars"});
  const bool given = characters && !characters->is_none();
  return text_value(
      strip(call.subject.text(), given ? &text(characters, call, "chars") : nullptr, left, right));
}

template <bool from_right>
Value split_method(const Call& call) {
  const auto [separator, most, a, b, c, d] = call.bind({"sep", "maxsplit"});
  const Text* between = separator && !separator->is_none() ? &text(separator, call, "sep") : nullptr;
  const int64_t limit = whole(most, call, "maxsplit", -1);
  return from_right ? split_from_right(call.subject.text(), between, limit)
                    : split(call.subject.text(), between, limit);
}

Value split_lines_method(const Call& call) {
  const auto [keep, a, b, c, d, e] = call.bind({"keepends"});
  return split_lines(call.subject.text(), keep && keep->truthy());
}

template <bool last>
Value partition_method(const Call& call) {
  const auto [separator, a, b, c, d, e] = call.bind({"sep"}, 1);
  return partition(call.subject.text(), text(separator, call, "sep"), last);
}

Value replace_method(const Call& call) {
  const auto [old, with, most, a, b, c] = call.bind({"old", "new", "count"}, 2);
  return text_value(
      replace(plain(call), text(old, call, "old"), text(with, call, "new"), whole(most, call, "count", -1)));
}

template <bool last, bool must>
Value find_method_of_text(const Call& call) {
  const auto [part, begin, end, a, b, c] = call.bind({"sub", "start", "end"}, 1);
  const int64_t found = find(call.subject.text(), text(part, call, "sub"), last,
                             whole(begin, call, "start", 0), whole(end, call, "end", to_end));
  check(!must || found >= 0, ErrorKind::invalid, "substring not found");
  return found;
}

Value count_method(const Call& call) {
  const auto [part, begin, end, a, b, c] = call.bind({"sub", "start", "end"}, 1);
  return count(call.subject.text(), text(part, call, "sub"), whole(begin, call, "start", 0),
               whole(end, call, "end", to_end));
}

template <bool at_end>
Value affix_method(const Call& call) {
  const auto [part, begin, end, a, b, c] = call.bind({"prefix", "start", "end"}, 1);
  const int64_t from = whole(begin, call, "start", 0), to = whole(end, call, "end", to_end);
  const auto matches = [&](const Value& value) {
    return has_affix(call.subject.text(), text_argument(value, call.function, "the argument"), at_end, from,
                     to);
  };
  if (!part->is(Kind::sequence) || part->sequence().row != Row::tuple) return matches(*part);
  const Array<Value>& parts = part->sequence().items;
  return std::any_of(parts.begin(), parts.end(), matches);
}

template <bool prefix>
Value remove_method(const Call& call) {
  const auto [part, a, b, c, d, e] = call.bind({"prefix"}, 1);
  const Text& subject = call.subject.text();
  const Text& affix = text(part, call, "the argument");
  if (!has_affix(subject, affix, !prefix, 0, to_end)) return call.subject;
  return text_value(prefix ? subject.slice(affix.size(), subject.size())
                           : subject.slice(0, subject.size() - affix.size()));
}

Value join_method(const Call& call) {
  const auto [parts, a, b, c, d, e] = call.bind({"iterable"}, 1);
  const Ref<Sequence> items = items_of(call.heap, *parts);
  for (size_t i = 0; i < items->items.size(); ++i) {
    check(items->items[i].is_text(), ErrorKind::invalid, "sequence item {}: expected str instance, {} found",
          i, type_name(items->items[i].kind()));
  }
  return text_value(join(plain(call), items->items));
}

template <bool left, bool right>
Value justify_method(const Call& call) {
  const auto [width, fill, a, b, c, d] = call.bind({"width", "fillchar"}, 1);
  const std::string_view filler = fill ? text(fill, call, "fillchar").view() : " ";
  check(!fill || fill->text().length() == 1, ErrorKind::invalid,
        "The fill character must be exactly one character long");
  return text_value(padded(call.subject.text(), whole(width, call, "width", 0), filler, left, right));
}

Value zfill_method(const Call& call) {
  const auto [width, a, b, c, d, e] = call.bind({"width"}, 1);
  const Text& subject = call.subject.text();
  const bool sign = subject.view().starts_with('-') || subject.view().starts_with('+');
  const int64_t total = whole(width, call, "width", 0);
  Text result = subject.slice(0, sign ? 1 : 0);
  result.append(
      padded(subject.slice(sign ? 1 : 0, subject.size()), total - (sign ? 1 : 0), "0", true, false));
  return text_value(std::move(result));
}

template <CharacterClass what>
Value class_method(const Call& call) {
  (void)call.bind({});
  return all_are(call.subject.view(), what);
}

template <bool upper>
Value case_test_method(const Call& call) {
  (void)call.bind({});
  return upper ? is_upper(call.subject.view()) : is_lower(call.subject.view());
}

Value format_method(const Call& call) {
  (void)plain(call);
  return text_value(brace_format(call));
}

constexpr std::array methods = {
    Method{"capitalize", capitalize_method},
    Method{"center", justify_method<true, true>},
    Method{"count", count_method},
    Method{"endswith", affix_method<true>},
    Method{"find", find_method_of_text<false, false>},
    Method{"format", format_method},
    Method{"index", find_method_of_text<false, true>},
    Method{"isalnum", class_method<CharacterClass::alnum>},
    Method{"isalpha", class_method<CharacterClass::alpha>},
    Method{"isdecimal", class_method<CharacterClass::decimal>},
    Method{"isdigit", class_method<CharacterClass::digit>},
    Method{"islower", case_test_method<false>},
    Method{"isnumeric", class_method<CharacterClass::numeric>},
    Method{"isspace", class_method<CharacterClass::space>},
    Method{"isupper", case_test_method<true>},
    Method{"join", join_method},
    Method{"ljust", justify_method<false, true>},
    Method{"lower", cased<lower_case>},
    Method{"lstrip", strip_method<true, false>},
    Method{"partition", partition_method<false>},
    Method{"removeprefix", remove_method<true>},
    Method{"removesuffix", remove_method<false>},
    Method{"replace", replace_method},
    Method{"rfind", find_method_of_text<true, false>},
    Method{"rindex", find_method_of_text<true, true>},
    Method{"rjust", justify_method<true, false>},
    Method{"rpartition", partition_method<true>},
    Method{"rsplit", split_method<true>},
    Method{"rstrip", strip_method<false, true>},
    Method{"split", split_method<false>},
    Method{"splitlines", split_lines_method},
    Method{"startswith", affix_method<false>},
    Method{"strip", strip_method<true, true>},
    Method{"swapcase", cased<swapped_case>},
    Method{"title", title_method},
    Method{"upper", cased<upper_case>},
    Method{"zfill", zfill_method},
};

}  // namespace

const Method* text_method(std::string_view name) {
  const auto* found = std::lower_bound(methods.begin(), methods.end(), name,
                                       [](const Method& m, std::string_view n) { return m.name < n; });
  return found != methods.end() && found->name == name ? found : nullptr;
}

}  // namespace lowrank::jinja
