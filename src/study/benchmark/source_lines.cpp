#include "study/benchmark/source_lines.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/mmap_file.h"
#include "data/rows/bad_rows.h"
#include "data/rows/data_files.h"
#include "data/sources/compression.h"
#include "data/sources/file_kind.h"
#include "tokenizer/core/byte_level.h"

namespace lowrank {
namespace {

/// The lines of a mapped file, one after the other.
class LineReader {
 public:
  explicit LineReader(const MmapFile& mapped)
      : file_(mapped.path().string()),
        window_(
            text_of({reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()}, file_)) {
    window_.skip(byte_order_mark(window_.rest()).size());
    refuse_other_kinds(window_.rest(), file_);
  }

  /// The next line that is not empty.
  std::optional<SourceLine> next() {
    constexpr int64_t lines_between_looks = 4096;
    while (true) {
      if (++number_ % lines_between_looks == 0) throw_if_interrupted();
      std::string where = fmt::format("{}:{}", file_, number_);
      std::optional<std::string_view> line = next_line(window_, where);
      if (!line) return std::nullopt;
      if (line->ends_with('\n')) line->remove_suffix(1);
      if (line->ends_with('\r')) line->remove_suffix(1);
      if (!line->empty()) return SourceLine{*line, std::move(where), number_};
    }
  }

 private:
  std::string file_;
  TextWindow window_;
  int64_t number_ = 0;
};

void check_text(const SourceLine& line) {
  const auto malformed = first_malformed(line.text);
  check(!malformed, ErrorKind::corrupt, "{}: not UTF-8 at byte {} of the line", line.where,
        malformed.value_or(0));
}

}  // namespace

void for_each_line(const std::filesystem::path& path, const std::function<void(const SourceLine&)>& take) {
  const MmapFile mapped = MmapFile::open(path);
  LineReader lines(mapped);
  BadRows bad;
  bool any = false;
  while (const std::optional<SourceLine> line = lines.next()) {
    any = true;
    bad.attempt(line->where, line->number, [&] {
      check_text(*line);
      take(*line);
    });
  }
  bad.finish();
  check(any, ErrorKind::invalid, "{}: the file has no lines", path.string());
  mapped.check_unchanged();
}

std::string first_line(const std::filesystem::path& path) {
  const MmapFile mapped = MmapFile::open(path);
  LineReader lines(mapped);  // owns the text of a compressed file
  const std::optional<SourceLine> line = lines.next();
  check(line.has_value(), ErrorKind::invalid, "{}: the file has no lines", path.string());
  check_text(*line);
  return std::string(line->text);
}

}  // namespace lowrank
