#include <algorithm>

#include "base/error.h"
#include "base/text/characters.h"
#include "tokenizer/jinja/values/string_functions.h"

namespace lowrank::jinja {
namespace {

class Parts {
 public:
  explicit Parts(const Text& text) : text_(text), list_(text.heap().make<Sequence>()) {}

  void add(size_t begin, size_t end) { list_->push(text_value(text_.slice(begin, end))); }
  void reverse() { std::reverse(list_->items.begin(), list_->items.end()); }
  bool full(int64_t most) const { return most >= 0 && static_cast<int64_t>(list_->items.size()) >= most; }
  Value take() { return list_; }
  Sequence& list() { return *list_; }

 private:
  const Text& text_;
  Ref<Sequence> list_;
};

size_t after_spaces(std::string_view view, size_t at, bool spaces) {
  while (at < view.size()) {
    size_t next = at;
    if (is_space(next_character(view, next)) != spaces) break;
    at = next;
  }
  return at;
}

size_t before_spaces(std::string_view view, size_t at, bool spaces) {
  while (at > 0) {
    size_t next = at;
    if (is_space(previous_character(view, next)) != spaces) break;
    at = next;
  }
  return at;
}

void check_separator(const Text* separator) {
  check(!separator || !separator->empty(), ErrorKind::invalid, "empty separator");
}

}  // namespace

Value split(const Text& text, const Text* separator, int64_t most) {
  check_separator(separator);
  Parts parts(text);
  const std::string_view view = text.view();
  text.heap().work_on(view.size());
  if (!separator) {
    for (size_t at = after_spaces(view, 0, true); at < view.size();) {
      const size_t end = parts.full(most) ? view.size() : after_spaces(view, at, false);
      parts.add(at, end);
      at = after_spaces(view, end, true);
    }
    return parts.take();
  }
  size_t at = 0;
  while (!parts.full(most)) {
    const size_t found = view.find(separator->view(), at);
    if (found == std::string_view::npos) break;
    parts.add(at, found);
    at = found + separator->size();
  }
  parts.add(at, view.size());
  return parts.take();
}

Value split_from_right(const Text& text, const Text* separator, int64_t most) {
  check_separator(separator);
  Parts parts(text);
  const std::string_view view = text.view();
  text.heap().work_on(view.size());
  if (!separator) {
    for (size_t end = before_spaces(view, view.size(), true); end > 0;) {
      if (parts.full(most)) {
        parts.add(0, end);
        break;
      }
      const size_t begin = before_spaces(view, end, false);
      parts.add(begin, end);
      end = before_spaces(view, begin, true);
    }
    parts.reverse();
    return parts.take();
  }
  size_t end = view.size();
  while (!parts.full(most)) {
    const size_t found = end < separator->size() ? std::string_view::npos
                                                 : view.rfind(separator->view(), end - separator->size());
    if (found == std::string_view::npos) break;
    parts.add(found + separator->size(), end);
    end = found;
  }
  parts.add(0, end);
  parts.reverse();
  return parts.take();
}

Value split_lines(const Text& text, bool keep_ends) {
  Parts parts(text);
  const std::string_view view = text.view();
  text.heap().work_on(view.size());
  size_t begin = 0;
  for (size_t at = 0; at < view.size();) {
    const size_t line_end = at;
    const char32_t c = next_character(view, at);
    const bool ends =
        (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && at < view.size() && view[at] == '\n') ++at;
    parts.add(begin, keep_ends ? at : line_end);
    begin = at;
  }
  if (begin < view.size()) parts.add(begin, view.size());
  return parts.take();
}

Value partition(const Text& text, const Text& separator, bool last) {
  check_separator(&separator);
  Parts parts(text);
  parts.list().row = Row::tuple;
  const size_t found = last ? text.view().rfind(separator.view()) : text.view().find(separator.view());
  if (found == std::string_view::npos) {
    parts.add(0, last ? 0 : text.size());
    parts.add(0, 0);
    parts.add(last ? 0 : text.size(), text.size());
  } else {
    parts.add(0, found);
    parts.add(found, found + separator.size());
    parts.add(found + separator.size(), text.size());
  }
  return parts.take();
}

}  // namespace lowrank::jinja
