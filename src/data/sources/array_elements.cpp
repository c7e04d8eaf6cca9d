#include "data/sources/array_elements.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr std::string_view spaces = " \t\r\n";

}  // namespace

void ArrayElements::skip_spaces() {
  do {
    window_.skip(std::min(window_.rest().find_first_not_of(spaces), window_.rest().size()));
  } while (window_.rest().empty() && window_.extend());
}

void ArrayElements::extend() {
  check(window_.rest().size() <= max_row_bytes || window_.complete(), ErrorKind::corrupt,
        "{}: row {}: more than {} bytes (a bracket or a quotation mark that does not close?)", file_, number_,
        max_row_bytes);
  const bool has_more = window_.extend();
  check(has_more, ErrorKind::corrupt, "{}: row {}: the array of rows ends here, without its closing ]", file_,
        number_);
}

size_t ArrayElements::element_end() {
  int depth = 0;
  bool in_string = false, escaped = false;
  std::string_view text = window_.rest();
  for (size_t at = 0;; ++at) {
    if (at == text.size()) {
      extend();
      text = window_.rest();
    }
    const char c = text[at];
    if (in_string) {
      if (!escaped && c == '"') in_string = false;
      escaped = !escaped && c == '\\';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      check(++depth <= depth_, ErrorKind::corrupt, "{}: row {}: JSON nested deeper than {} levels", file_,
            number_, depth_);
    } else if (depth == 0 && (c == ',' || c == ']')) {
      return at;
    } else if (depth > 0 && (c == '}' || c == ']')) {
      --depth;
    }
  }
}

void ArrayElements::close() {
  window_.skip(1);
  skip_spaces();
  check(window_.rest().empty(), ErrorKind::corrupt, "{}: text after the array of rows", file_);
}

std::optional<std::string_view> ArrayElements::next() {
  const bool first = ++number_ == 1;
  if (first) skip_spaces();
  // Here stands the array's bracket, or what ended the element before: a comma or the closing bracket.
  if (!first && window_.rest().front() == ']') {
    close();
    return std::nullopt;
  }
  window_.skip(1);
  skip_spaces();
  if (first && window_.rest().starts_with(']')) {
    close();
    return std::nullopt;
  }
  const size_t end = element_end();
  const std::string_view element = window_.rest().substr(0, end);
  window_.skip(end);
  return element.substr(0, element.find_last_not_of(spaces) + 1);
}

}  // namespace lowrank
