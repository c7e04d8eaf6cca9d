#include "study/benchmark/tab_table.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/log.h"
#include "base/one_line.h"

namespace lowrank {
namespace {

/// More than any published table has; further tabs belong to the last cell, which is then not chosen.
constexpr size_t most_cells = 64;

void split_cells(std::string_view line, std::vector<std::string_view>& cells) {
  cells.clear();
  for (size_t tab = line.find('\t'); tab != std::string_view::npos && cells.size() < most_cells;
       tab = line.find('\t')) {
    cells.push_back(line.substr(0, tab));
    line.remove_prefix(tab + 1);
  }
  cells.push_back(line);
}

/// The positions of the named columns in the first line.
std::vector<size_t> positions_of(std::span<const std::string> names, std::span<const std::string> first,
                                 const std::string& where) {
  std::vector<size_t> positions;
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(first, name);
    positions.push_back(static_cast<size_t>(found - first.begin()));
    if (found == first.end()) missing.push_back(in_quotes(name));
  }
  check(missing.empty(), ErrorKind::invalid, "{}: the first line names no column {}; it has {}", where,
        fmt::join(missing, ", "), one_line(fmt::format("{}", fmt::join(first, ", "))));
  return positions;
}

/// The lines of a table that are left out.
class LeftOutLines {
 public:
  void add(const std::string& what) {
    constexpr size_t most_shown = 3;
    if (++count_ <= most_shown) shown_.push_back(what);
  }

  /// Warns, or fails when there are too many of `lines`.
  void report(const std::string& file, size_t lines, bool warns) const {
    constexpr size_t allowed = 10, in_a_hundred = 100;
    if (count_ == 0) return;
    const std::string words = fmt::format("{}: {} of {} lines cannot be read: {}{}", file, count_, lines,
                                          fmt::join(shown_, "; "), count_ > shown_.size() ? "; …" : "");
    check(count_ < lines && (count_ <= allowed || count_ * in_a_hundred <= lines), ErrorKind::corrupt, "{}",
          words);
    if (warns) warn("{}; they are left out", words);
  }

 private:
  size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace

std::vector<std::string> first_cells(const std::filesystem::path& path) {
  const std::string line = first_line(path);
  std::vector<std::string_view> cells;
  split_cells(line, cells);
  return {cells.begin(), cells.end()};
}

void read_tab_table(const std::filesystem::path& path, const TabColumns& columns, const TakeCells& take,
                    bool warns) {
  const bool named = !columns.names.empty();
  const std::vector<size_t> positions =
      named ? positions_of(columns.names, first_cells(path), path.string()) : columns.positions;
  const size_t needed = std::ranges::max(positions) + 1;
  std::vector<std::string_view> cells, chosen;
  LeftOutLines left_out;
  size_t lines = 0;
  bool first = true;
  for_each_line(path, [&](const SourceLine& line) {
    if (std::exchange(first, false) && named) return;
    ++lines;
    split_cells(line.text, cells);
    chosen.clear();
    for (const size_t position : positions) {
      if (position < cells.size()) chosen.push_back(cells[position]);
    }
    if (chosen.size() < positions.size()) {
      left_out.add(fmt::format("line {} has {}, where the table needs at least {}", line.number,
                               counted(std::ssize(cells), "column"), needed));
      return;
    }
    try {
      take(chosen, line);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid) throw;
      left_out.add(fmt::format("line {} {}", line.number, error.what()));
    }
  });
  left_out.report(path.string(), lines, warns);
  check(lines > 0, ErrorKind::invalid, "{}: the table has no rows", path.string());
}

}  // namespace lowrank
