#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/printf_format.h"
#include "tokenizer/jinja/values/printing.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

/// str(value), kept safe if it is.
Value soft_text(const Call& call) {
  return as_text(call.heap, call.subject);
}

Text without_markup(Text text) {
  text.markup = false;
  return text;
}

template <std::string (*change)(std::string_view)>
Value cased(const Call& call) {
  (void)call.bind({});
  return text_value(changed(soft_text(call).text(), change));
}

Value capitalize_filter(const Call& call) {
  (void)call.bind({});
  return text_value(capitalize(soft_text(call).text()));
}

/// jinja2's own title case: words begin after blanks, hyphens and opening brackets.
Value title_filter(const Call& call) {
  (void)call.bind({});
  const Value value = soft_text(call);
  const Text& text = value.text();
  Text result(call.heap);
  bool begins = true;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_character(text.view(), at);
    const bool between = c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
    result.append(changed(without_markup(text.slice(begin, at)), begins ? upper_case : lower_case));
    begins = between;
  }
  return text_value(std::move(result));
}

Value trim(const Call& call) {
  const auto [characters, a, b, c, d, e] = call.bind({"chars"});
  const bool given = characters && !characters->is_none();
  const Text* set = given ? &text_argument(*characters, call.function, "chars") : nullptr;
  return text_value(strip(soft_text(call).text(), set, true, true));
}

Value replace_filter(const Call& call) {
  const auto [old, with, most, a, b, c] = call.bind({"old", "new", "count"}, 2);
  const Value subject = soft_text(call), from = as_text(call.heap, *old), to = as_text(call.heap, *with);
  const int64_t limit = most && !most->is_none() ? whole_argument(*most, call.function, "count") : -1;
  return text_value(without_markup(replace(subject.text(), from.text(), to.text(), limit)));
}

Value center(const Call& call) {
  const auto [width, a, b, c, d, e] = call.bind({"width"});
  return text_value(padded(soft_text(call).text(),
                           width ? whole_argument(*width, call.function, "width") : 80, " ", true, true));
}

Value indent(const Call& call) {
  const auto [width, first, blank, a, b, c] = call.bind({"width", "first", "blank"});
  const Value& subject = call.subject;
  (void)text_argument(subject, call.function, "the value");
  Text indention(call.heap);
  if (width && width->is_text()) {
    indention = width->text();
  } else {
    const int64_t spaces = width ? whole_argument(*width, call.function, "width") : 4;
    indention = repeat(Text(call.heap, " "), std::min(spaces, call.heap.limits().width + 1));
  }
  check(static_cast<int64_t>(indention.size()) <= call.heap.limits().width, ErrorKind::invalid,
        "an indent above the limit of {}", call.heap.limits().width);
  const Value lines = split_lines(subject.text(), false);
  Text result(call.heap);
  if (first && first->truthy()) result.append(indention);
  const Array<Value>& items = lines.sequence().items;
  // A newline is added before the lines are split, so a text that ends with one keeps it.
  const bool ends_with_line = subject.view().ends_with('\n');
  const size_t count = items.size() + (ends_with_line || items.empty() ? 1 : 0);
  for (size_t i = 0; i < count; ++i) {
    const bool empty = i >= items.size() || items[i].text().empty();
    if (i > 0) {
      result.append("\n", subject.text().mark_at(0));
      if (!empty || (blank && blank->truthy())) result.append(indention);
    }
    if (!empty) result.append(items[i].text());
  }
  result.markup = subject.text().markup;
  return text_value(std::move(result));
}

Value word_count(const Call& call) {
  (void)call.bind({});
  const Value subject = soft_text(call);
  const std::string_view view = subject.view();
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < view.size();) {
    const size_t begin = at;
    next_character(view, at);
    const std::string_view one = view.substr(begin, at - begin);
    const bool word = one == "_" || all_are(one, CharacterClass::alnum);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return words;
}

Value safe(const Call& call) {
  (void)call.bind({});
  Text text(call.heap);
  text.append(soft_text(call).text());
  text.markup = true;
  return text_value(std::move(text));
}

Value escape(const Call& call) {
  (void)call.bind({});
  return text_value(escaped(soft_text(call).text()));
}

Value force_escape(const Call& call) {
  (void)call.bind({});
  const Value subject = soft_text(call);
  return text_value(escaped(without_markup(subject.text().slice(0, subject.text().size()))));
}

Value string(const Call& call) {
  (void)call.bind({});
  return soft_text(call);
}

Value format(const Call& call) {
  const Value subject = soft_text(call);
  check(call.named.empty() || call.positional.empty(), ErrorKind::invalid,
        "can't handle positional and keyword arguments at the same time");
  check(call.named.empty(), ErrorKind::unsupported,
        "named arguments of the filter 'format' are not supported");
  check(!subject.text().markup, ErrorKind::unsupported, "format of a safe string is not supported");
  const Ref<Sequence> arguments = call.heap.make<Sequence>(Row::tuple);
  for (const Value& value : call.positional) arguments->push(value);
  return text_value(printf_format(subject.text(), arguments));
}

constexpr std::array filters = {
    Filter{"capitalize", capitalize_filter},
    Filter{"center", center},
    Filter{"e", escape},
    Filter{"escape", escape},
    Filter{"forceescape", force_escape},
    Filter{"format", format},
    Filter{"indent", indent},
    Filter{"lower", cased<lower_case>},
    Filter{"replace", replace_filter},
    Filter{"safe", safe},
    Filter{"string", string},
    Filter{"title", title_filter},
    Filter{"trim", trim},
    Filter{"upper", cased<upper_case>},
    Filter{"wordcount", word_count},
};

}  // namespace

std::span<const Filter> text_filters() {
  return filters;
}

}  // namespace lowrank::jinja
