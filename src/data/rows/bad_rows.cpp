#include "data/rows/bad_rows.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

constexpr size_t most_shown = 5;
constexpr int64_t most_rows = 1000;

}  // namespace

void BadRows::attempt(const std::string& where, int64_t line, const std::function<void()>& action) {
  try {
    return action();
  } catch (const Error& error) {
    const bool of_the_row =
        !stopped_ && (error.kind() == ErrorKind::invalid || error.kind() == ErrorKind::corrupt ||
                      error.kind() == ErrorKind::unsupported);
    if (!of_the_row) throw;
    std::string what = error.what();
    std::string_view place = where;
    if (what.starts_with(where + ": ")) what.erase(0, where.size() + 2);
    // An error about the whole file already names its own line.
    if (what.starts_with(where)) place = {};
    note(error, place, std::move(what), line);
  }
  if (stopped_) finish();
}

void BadRows::note(const Error& error, std::string_view place, std::string what, int64_t line) {
  if (rows_++ == 0) kind_ = error.kind();
  const bool last = dynamic_cast<const RenderLimit*>(&error) != nullptr;
  stopped_ = last || rows_ >= most_rows;
  auto reason = std::ranges::find(reasons_, what, &Reason::what);
  if (reason == reasons_.end()) {
    if (reasons_.size() == most_shown && !last) return;
    reason = reasons_.insert(reason, {std::string(place), std::move(what), {}, 0});
  } else if (reason->lines.size() < most_shown) {
    reason->lines.push_back(line);
  }
  ++reason->rows;
}

void BadRows::finish() const {
  if (rows_ > 0) throw Error(kind_, message());
}

std::string BadRows::message() const {
  std::vector<std::string> parts;
  int64_t told = 0;
  for (const Reason& reason : reasons_) {
    std::string others;
    if (reason.rows > 1) {
      const bool more = reason.rows - 1 > std::ssize(reason.lines);
      others = fmt::format(" (and {} more: {}{})", reason.rows - 1, fmt::join(reason.lines, ", "),
                           more ? ", …" : "");
    }
    parts.push_back(
        fmt::format("{}{}{}{}", reason.where, reason.where.empty() ? "" : ": ", reason.what, others));
    told += reason.rows;
  }
  if (rows_ > told) parts.push_back(fmt::format("bad rows besides: {}", rows_ - told));
  if (stopped_) parts.emplace_back("the rest was not read");
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace lowrank
