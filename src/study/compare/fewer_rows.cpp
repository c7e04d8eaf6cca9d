#include "study/compare/fewer_rows.h"

#include <algorithm>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mmap_file.h"

namespace lowrank {
namespace {

std::vector<std::string_view> lines_of(const MmapFile& file) {
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back(line);
    begin = end + 1;
  }
  return lines;
}

void write_lines(const std::filesystem::path& path, const std::vector<std::string_view>& lines,
                 const std::vector<size_t>& chosen) {
  AtomicFile file(path);
  for (const size_t line : chosen) {
    file.write(lines[line]);
    file.write("\n");
  }
  file.commit();
}

}  // namespace

std::vector<size_t> evenly_spaced(size_t total, int64_t count) {
  const size_t wanted = count <= 0 ? total : std::min(total, static_cast<size_t>(count));
  std::vector<size_t> chosen;
  for (size_t i = 0; i < wanted; ++i) chosen.push_back(i * total / wanted);
  return chosen;
}

AskedRows fewer_rows(const AskedRows& all, int64_t most, const std::filesystem::path& written) {
  if (most == 0 || std::ssize(all.references) <= most) return all;
  const MmapFile file = MmapFile::open(all.rows);
  const std::vector<std::string_view> lines = lines_of(file);
  check(lines.size() == all.references.size(), ErrorKind::corrupt, "{}: {} rows for {} lists of references",
        all.rows.string(), lines.size(), all.references.size());
  AskedRows fewer{all.name, written, {}};
  const std::vector<size_t> chosen = evenly_spaced(lines.size(), most);
  for (const size_t row : chosen) fewer.references.push_back(all.references[row]);
  write_lines(written, lines, chosen);
  return fewer;
}

std::filesystem::path fewer_lines(const std::filesystem::path& rows, int64_t most,
                                  const std::filesystem::path& written) {
  if (most == 0) return rows;
  const MmapFile file = MmapFile::open(rows);
  const std::vector<std::string_view> lines = lines_of(file);
  if (std::ssize(lines) <= most) return rows;
  write_lines(written, lines, evenly_spaced(lines.size(), most));
  return written;
}

}  // namespace lowrank
