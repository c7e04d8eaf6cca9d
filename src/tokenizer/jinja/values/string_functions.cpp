#include "tokenizer/jinja/values/string_functions.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/text/characters.h"

namespace lowrank::jinja {

Text capitalize(const Text& text) {
  size_t first = 0;
  if (!text.empty()) next_character(text.view(), first);
  Text result = changed(text.slice(0, first), capitalized);
  result.append(changed(text.slice(first, text.size()), lower_case));
  result.markup = text.markup;
  return result;
}

Text title(const Text& text) {
  Text result(text.heap());
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_character(text.view(), at);
    result.append(changed(text.slice(begin, at), inside ? lower_case : capitalized));
    inside = is_cased(c);
  }
  result.markup = text.markup;
  return result;
}

Text strip(const Text& text, const Text* characters, bool left, bool right) {
  const std::string_view view = text.view();
  Array<char32_t> set(text.heap());
  if (characters) {
    for (size_t at = 0; at < characters->size();) set.push_back(next_character(characters->view(), at));
    std::sort(set.begin(), set.end());
  }
  const auto goes = [&](char32_t c) {
    return characters ? std::binary_search(set.begin(), set.end(), c) : is_space(c);
  };
  size_t begin = 0, end = view.size();
  for (size_t next = 0; left && next < end && goes(next_character(view, next));) begin = next;
  for (size_t next = end; right && next > begin && goes(previous_character(view, next));) end = next;
  return text.slice(begin, end);
}

Text replace(const Text& text, const Text& old, const Text& with, int64_t most) {
  Text result(text.heap());
  result.markup = text.markup;
  const std::string_view view = text.view();
  size_t at = 0;
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    size_t found = 0;
    if (old.empty()) {  // before each character and at the end
      if (done > 0) {
        if (at >= view.size()) break;
        size_t next = at;
        next_character(view, next);
        result.append(text, at, next);
        at = next;
      }
      found = at;
    } else {
      found = view.find(old.view(), at);
      if (found == std::string_view::npos) break;
    }
    result.append(text, at, found);
    result.append(with);
    text.heap().work(1);
    at = found + old.size();
  }
  result.append(text, at, view.size());
  return result;
}

Text join(const Text& separator, const Array<Value>& parts) {
  Text result(separator.heap());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) result.append(separator);
    result.append(parts[i].text());
  }
  return result;
}

Text repeat(const Text& text, int64_t times) {
  Text result(text.heap());
  result.markup = text.markup;
  if (times <= 0 || text.empty()) return result;
  check(times <= text.heap().limits().text_bytes / static_cast<int64_t>(text.size()), ErrorKind::invalid,
        "a string longer than {} MiB, the limit of a render", text.heap().limits().text_bytes >> 20);
  Text block(text.heap());  // of many copies: appending has a price per piece
  int64_t copies = 0;
  for (; copies < times && block.size() < 4096; ++copies) block.append(text);
  for (; times >= copies; times -= copies) result.append(block);
  for (; times > 0; --times) result.append(text);
  return result;
}

namespace {

/// Byte range of the characters [begin, end), which count from the end when negative.
struct ByteRange {
  size_t begin = 0, end = 0;
  bool outside = false;  ///< begin > length: nothing is found there, not even the empty string
};

ByteRange byte_range(const Text& text, int64_t begin, int64_t end) {
  const int64_t length = text.length();
  const auto clamped = [&](int64_t index) {
    return std::clamp<int64_t>(index < 0 ? index + length : index, 0, length);
  };
  ByteRange range;
  range.outside = begin > length || clamped(begin) > clamped(end);
  range.begin = text.offset_of(clamped(begin));
  range.end = std::max(range.begin, text.offset_of(clamped(end)));
  return range;
}

}  // namespace

int64_t find(const Text& text, const Text& part, bool last, int64_t begin, int64_t end) {
  const ByteRange range = byte_range(text, begin, end);
  if (range.outside) return -1;
  const std::string_view view = text.view().substr(range.begin, range.end - range.begin);
  text.heap().work_on(view.size());
  const size_t found = last ? view.rfind(part.view()) : view.find(part.view());
  if (found == std::string_view::npos) return -1;
  return Text(text.heap(), text.view().substr(0, range.begin + found)).length();
}

int64_t count(const Text& text, const Text& part, int64_t begin, int64_t end) {
  const ByteRange range = byte_range(text, begin, end);
  if (range.outside) return 0;
  const std::string_view view = text.view().substr(range.begin, range.end - range.begin);
  text.heap().work_on(view.size());
  if (part.empty()) return Text(text.heap(), view).length() + 1;
  int64_t number = 0;
  for (size_t at = view.find(part.view()); at != std::string_view::npos;
       at = view.find(part.view(), at + part.size()))
    ++number;
  return number;
}

bool has_affix(const Text& text, const Text& part, bool at_end, int64_t begin, int64_t end) {
  const bool whole = begin == 0 && end == std::numeric_limits<int64_t>::max();
  std::string_view view = text.view();
  if (!whole) {
    const ByteRange range = byte_range(text, begin, end);
    if (range.outside) return false;
    view = view.substr(range.begin, range.end - range.begin);
  }
  return at_end ? view.ends_with(part.view()) : view.starts_with(part.view());
}

Text padded(const Text& text, int64_t width, std::string_view fill, bool left, bool right) {
  const Limits& limits = text.heap().limits();
  check(width <= limits.width, ErrorKind::invalid, "a width of {}, more than the limit of {}", width,
        limits.width);
  const int64_t missing = std::max<int64_t>(0, width - text.length());
  // Python's str.center puts the odd one to the left if the width is odd.
  const int64_t before = !left ? 0 : !right ? missing : missing / 2 + (missing & width & 1);
  Text result(text.heap());
  for (int64_t i = 0; i < before; ++i) result.append(fill);
  result.append(text);
  for (int64_t i = before; i < missing; ++i) result.append(fill);
  result.markup = text.markup;
  return result;
}

SliceBounds slice_bounds(int64_t length, std::optional<int64_t> begin, std::optional<int64_t> end,
                         int64_t step) {
  check(step != 0, ErrorKind::invalid, "slice step cannot be zero");
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
  const auto clamped = [&](int64_t index) {
    if (index < 0) index = index < -length ? low : index + length;
    return std::clamp(index, low, high);
  };
  const int64_t from = begin ? clamped(*begin) : step < 0 ? high : low;
  const int64_t to = end ? clamped(*end) : step < 0 ? low : high;
  if (step > 0) return {from, from < to ? (to - from - 1) / step + 1 : 0, to};
  const auto stride = static_cast<int64_t>(std::min<uint64_t>(-static_cast<uint64_t>(step), INT64_MAX));
  return {from, from > to ? (from - to - 1) / stride + 1 : 0, to};
}

Text slice_text(const Text& text, std::optional<int64_t> begin, std::optional<int64_t> end, int64_t step) {
  const auto [from, number, to] = slice_bounds(text.length(), begin, end, step);
  if (step == 1) return text.slice(text.offset_of(from), text.offset_of(from + number));
  Text result(text.heap());
  for (int64_t i = 0; i < number; ++i) {
    const size_t at = text.offset_of(from + i * step);
    size_t after = at;
    next_character(text.view(), after);
    result.append(text, at, after);
  }
  result.markup = text.markup;
  return result;
}

Text escaped(const Text& text) {
  if (text.markup) return text;
  Text result = changed(text, [](std::string_view piece) {
    std::string safe;
    for (const char c : piece) {
      switch (c) {
        case '&':
          safe += "&amp;";
          break;
        case '<':
          safe += "&lt;";
          break;
        case '>':
          safe += "&gt;";
          break;
        case '\'':
          safe += "&#39;";
          break;
        case '"':
          safe += "&#34;";
          break;
        default:
          safe += c;
      }
    }
    return safe;
  });
  result.markup = true;
  return result;
}

}  // namespace lowrank::jinja
