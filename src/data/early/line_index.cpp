#include "data/early/line_index.h"

#include <algorithm>
#include <cstring>

#include "base/interrupt.h"
#include "data/rows/data_files.h"

namespace lowrank {
namespace {

constexpr int64_t rows_per_mark = 64;

/// The end of the line that begins at the offset, with its newline.
size_t line_end(std::string_view text, size_t begin) {
  const void* found = std::memchr(text.data() + begin, '\n', text.size() - begin);
  return found ? static_cast<const char*>(found) - text.data() + 1 : text.size();
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

std::string_view LineIndex::text() const {
  return {reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size()};
}

std::optional<LineIndex> LineIndex::of(const std::filesystem::path& path) {
  LineIndex index(MmapFile::open(path));
  if (!is_plain_lines(index.text(), path)) return std::nullopt;
  index.read();
  return index;
}

void LineIndex::read() {
  constexpr size_t most_in_memory = 8 << 20;
  const std::string_view all = text();
  size_t forgotten = 0;
  int64_t number = 1;
  for (size_t begin = byte_order_mark(all).size(); begin < all.size(); ++number) {
    const size_t end = line_end(all, begin);
    if (!is_blank(all.substr(begin, end - begin)) && rows_++ % rows_per_mark == 0)
      marks_.push_back({begin, number});
    begin = end;
    if (end - forgotten < most_in_memory) continue;
    throw_if_interrupted();
    file_.forget_pages();
    forgotten = end;
  }
  file_.forget_pages();
}

LineIndex::Line LineIndex::line(int64_t row) const {
  constexpr int64_t most_in_memory = 200;
  if (++read_ % most_in_memory == 0) file_.forget_pages();
  const std::string_view all = text();
  const Mark& mark = marks_[row / rows_per_mark];
  size_t begin = mark.offset;
  int64_t left = row % rows_per_mark;
  for (int64_t number = mark.number;; ++number) {
    const size_t end = line_end(all, begin);
    const std::string_view line = all.substr(begin, end - begin);
    begin = end;
    if (is_blank(line) || left-- > 0) continue;
    return {line.substr(0, line.size() - (line.ends_with('\n') ? 1 : 0)), number};
  }
}

}  // namespace lowrank
