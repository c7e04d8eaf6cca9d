#include "data/sources/text_window.h"

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"

namespace lowrank {

bool TextWindow::extend() {
  constexpr size_t least = 1 << 20;
  if (!read_) return false;
  throw_if_interrupted();
  const size_t kept = rest_.size(), more = std::max(least, kept);
  std::shared_ptr<char[]> block = std::make_unique_for_overwrite<char[]>(kept + more);
  std::ranges::copy(rest_, block.get());
  const size_t count = read_({block.get() + kept, more});
  if (count < more) read_ = nullptr;
  if (count == 0) return false;
  rest_ = {block.get(), kept + count};
  block_ = std::move(block);
  return true;
}

std::optional<std::string_view> next_line(TextWindow& window, const std::string& where) {
  size_t searched = 0, end = std::string_view::npos;
  while ((end = window.rest().find('\n', searched)) == std::string_view::npos) {
    searched = window.rest().size();
    check(searched <= max_row_bytes || window.complete(), ErrorKind::corrupt,
          "{}: a line of more than {} bytes", where, max_row_bytes);
    if (!window.extend()) break;
  }
  if (window.rest().empty()) return std::nullopt;
  const std::string_view line = window.rest().substr(0, std::min(end, window.rest().size() - 1) + 1);
  window.skip(line.size());
  return line;
}

}  // namespace lowrank
