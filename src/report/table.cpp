#include "report/table.h"

#include <algorithm>

#include "base/error.h"

namespace lowrank {
namespace {

std::string escaped(const std::string& cell) {
  std::string text;
  for (const char c : cell) {
    if (c == '|') text += '\\';
    text += c == '\n' ? ' ' : c;
  }
  return text;
}

size_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

bool is_number(const std::string& cell) {
  return cell.front() == '-' || (cell.front() >= '0' && cell.front() <= '9');
}

struct Column {
  size_t width = 3;  ///< at least that of the shortest rule below a heading
  bool numbers = true;

  std::string padded(const std::string& cell) const {
    const std::string space(width - characters(cell), ' ');
    return numbers ? space + cell : cell + space;
  }
  std::string rule() const { return std::string(width - 1, '-') + (numbers ? ':' : '-'); }
};

}  // namespace

std::string markdown_table(const std::vector<std::string>& headings,
                           const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines = {headings};
  lines.insert(lines.end(), rows.begin(), rows.end());
  std::vector<Column> columns(headings.size());
  for (size_t line = 0; line < lines.size(); ++line) {
    check(lines[line].size() == headings.size(), ErrorKind::invalid,
          "row {} of a table has {} cells for {} headings", line, lines[line].size(), headings.size());
    for (size_t i = 0; i < columns.size(); ++i) {
      std::string& cell = lines[line][i];
      cell = escaped(cell);
      columns[i].width = std::max(columns[i].width, characters(cell));
      if (line > 0 && !cell.empty()) columns[i].numbers &= is_number(cell);
    }
  }
  std::string text;
  for (size_t line = 0; line < lines.size(); ++line) {
    for (size_t i = 0; i < columns.size(); ++i) text += "| " + columns[i].padded(lines[line][i]) + " ";
    text += "|\n";
    if (line > 0) continue;
    for (const Column& column : columns) text += "| " + column.rule() + " ";
    text += "|\n";
  }
  return text;
}

}  // namespace lowrank
