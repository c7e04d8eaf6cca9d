#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Python's functions of str. Positions and lengths count characters; the pieces of the results keep their
/// marks.

/// The text without those of `characters` (white space if null) at its ends.
Text strip(const Text& text, const Text* characters, bool left, bool right);

/// The parts between separators, or between stretches of white space if `separator` is null; at most
/// `most` + 1 parts, -1: all. Errors: invalid for an empty separator.
Value split(const Text& text, const Text* separator, int64_t most);
Value split_from_right(const Text& text, const Text* separator, int64_t most);
Value split_lines(const Text& text, bool keep_ends);
/// The part before the separator, the separator, the part after it: a tuple.
Value partition(const Text& text, const Text& separator, bool last);

/// With the first `most` (-1: all) occurrences replaced.
Text replace(const Text& text, const Text& old, const Text& with, int64_t most);

/// Parts with the separator between them; `parts` holds strings.
Text join(const Text& separator, const Array<Value>& parts);

/// The text `times` in a row.
Text repeat(const Text& text, int64_t times);

/// Character number of the first or last occurrence within [begin, end) characters, -1 if there is none.
int64_t find(const Text& text, const Text& part, bool last, int64_t begin, int64_t end);
int64_t count(const Text& text, const Text& part, int64_t begin, int64_t end);
/// Whether the characters [begin, end) begin or end with the part.
bool has_affix(const Text& text, const Text& part, bool at_end, int64_t begin, int64_t end);

/// Every piece with one mark, changed by a function of std::string_view to std::string. Long pieces are
/// changed in parts, so that the function's own memory stays small.
template <class Change>
Text changed(const Text& text, Change change) {
  constexpr size_t most = size_t{1} << 16;
  Text result(text.heap());
  text.heap().work_on(4 * text.size());
  text.each_run(0, text.size(), [&](size_t begin, size_t end, Mark mark) {
    while (begin < end) {
      size_t next = std::min(begin + most, end);
      while (next < end && (static_cast<unsigned char>(text.view()[next]) & 0xC0) == 0x80) ++next;
      result.append(change(text.view().substr(begin, next - begin)), mark);
      begin = next;
    }
  });
  result.markup = text.markup;
  return result;
}

/// str.capitalize: the first character in title case, the rest in lower case.
Text capitalize(const Text& text);
/// str.title: so for each run of cased characters.
Text title(const Text& text);

/// Padded with a fill character to `width` characters on the left, on the right, or on both sides.
Text padded(const Text& text, int64_t width, std::string_view fill, bool left, bool right);

/// The characters [begin, end) by steps, as Python's slices of a text of this length.
Text slice_text(const Text& text, std::optional<int64_t> begin, std::optional<int64_t> end, int64_t step);

/// Bounds of a Python slice: the indices begin, begin + step, …, `count` of them.
struct SliceBounds {
  int64_t begin = 0, count = 0, end = 0;  ///< `end` is Python's, after clamping
};
SliceBounds slice_bounds(int64_t length, std::optional<int64_t> begin, std::optional<int64_t> end,
                         int64_t step);

/// Markup's escaping of & < > ' ".
Text escaped(const Text& text);

}  // namespace lowrank::jinja
