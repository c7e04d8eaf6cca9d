#include "data/rows/data_files.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <glob.h>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "data/rows/bad_rows.h"
#include "data/rows/table_reader.h"
#include "data/sources/array_elements.h"
#include "data/sources/compression.h"
#include "data/sources/file_kind.h"
#include "data/sources/parquet_file.h"
#include "data/sources/text_window.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr JsonLimits row_limits{.depth = 32, .keys = 1000};

void check_row(std::string_view text, const std::string& where) {
  check(text.size() <= max_row_bytes, ErrorKind::corrupt, "{}: a line of {} bytes, more than {}", where,
        text.size(), max_row_bytes);
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::corrupt,
        "{}: not UTF-8 at byte {} of the line (iconv converts other encodings)", where,
        malformed.value_or(0));
}

/// Hands rows over to the work and collects the errors of both, in the order of the rows.
class RowGiver {
 public:
  RowGiver(const RowWork& work, const MmapFile& file) : work_(work), file_(file), ordered_(work.threads) {}

  /// `make` is called on any thread. `bytes`: of the row, roughly.
  void give(std::string where, int64_t line, MakeRow make, size_t bytes) {
    throw_if_interrupted();
    forget_pages(bytes);
    const bool apart = !work_.apart || work_.apart();
    ordered_.give(
        [this, where = std::move(where), line, make = std::move(make),
         number = ++given_]() mutable -> OrderedWork::End {
          OrderedWork::End end;
          if (number > last_) return [] {};
          try {
            end = work_.begin(make());
          } catch (const RenderLimit&) {
            end_with(number);
            end = [error = std::current_exception()] { std::rethrow_exception(error); };
          } catch (...) {
            end = [error = std::current_exception()] { std::rethrow_exception(error); };
          }
          return [this, where = std::move(where), line, end = std::move(end)] {
            bad_.attempt(where, line, end);
          };
        },
        bytes);
    if (!apart) ordered_.finish();
  }

  /// Reads a whole file. An error that ends the reading is reported after those found before it.
  void read(const std::string& file, const std::function<void()>& reading) {
    bad_.attempt(file, 0, [&] {
      try {
        reading();
      } catch (...) {
        ordered_.finish();
        throw;
      }
      ordered_.finish();
    });
    bad_.finish();
  }

 private:
  /// No row after this one is begun: its error ends the reading.
  void end_with(int64_t number) {
    int64_t last = last_;
    while (number < last && !last_.compare_exchange_weak(last, number)) {
    }
  }

  /// Of a large file, only what is being read stays in memory.
  void forget_pages(size_t bytes) {
    constexpr size_t most = 32 << 20;
    read_since_ += bytes;
    if (read_since_ < most) return;
    file_.forget_pages();
    read_since_ = 0;
  }

  const RowWork& work_;
  const MmapFile& file_;
  size_t read_since_ = 0;
  int64_t given_ = 0;
  std::atomic<int64_t> last_ = std::numeric_limits<int64_t>::max();
  BadRows bad_;
  OrderedWork ordered_;  // last: its threads use the others
};

/// Gives a row that is an object in JSON. `owner` keeps its text alive.
void give_json(std::string_view text, std::shared_ptr<const char[]> owner, std::string where, int64_t number,
               bool has_line, RowGiver& rows) {
  const auto make = [text, owner = std::move(owner), where, number, has_line] {
    return json_row(text, where, number, !has_line);
  };
  rows.give(std::move(where), number, make, text.size());
}

/// JSON lines. `before_number` stands between the file's name and the line's number.
void read_lines(TextWindow& window, const std::string& file, std::string_view before_number, RowGiver& rows) {
  for (int64_t number = 1;; ++number) {
    std::string where = fmt::format("{}{}{}", file, before_number, number);
    const std::optional<std::string_view> line = next_line(window, where);
    if (!line) break;
    if (line->find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
    const std::string_view text = line->substr(0, line->size() - (line->ends_with('\n') ? 1 : 0));
    give_json(text, window.owner(), std::move(where), number, before_number == ":", rows);
  }
}

void read_array(TextWindow& window, const std::string& file, RowGiver& rows) {
  ArrayElements elements(window, file, row_limits.depth);
  for (int64_t number = 1; const std::optional<std::string_view> element = elements.next(); ++number)
    give_json(*element, window.owner(), fmt::format("{}: row {}", file, number), number, false, rows);
}

/// Whether the text is an array of rows; JSON lines never begin like one.
bool is_array(std::string_view text, std::string_view ending) {
  constexpr std::string_view spaces = " \t\r\n";
  const size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos || text[first] != '[') return false;
  const size_t row = text.find_first_not_of(spaces, first + 1);
  return ending == ".json" || (row != std::string_view::npos && text[row] == '{');
}

void read_columns(TextWindow& window, const std::string& file, const TableFormat& format, RowGiver& rows) {
  read_table(window, file, format, [&](std::string where, int64_t line, MakeRow make, size_t bytes) {
    const auto make_checked = [make = std::move(make)] {
      DataRow row = make();
      for (const auto& [name, value] : row.fields.items())
        check_row(value.get_ref<const std::string&>(), row.where);
      return row;
    };
    rows.give(std::move(where), line, make_checked, bytes);
  });
}

/// The rows of a file as text, for Parquet tables as JSON lines.
TextWindow window_of(std::string_view bytes, const std::string& file) {
  if (is_parquet(bytes)) return TextWindow(parquet_lines(std::as_bytes(std::span(bytes)), file));
  TextWindow window = text_of(bytes, file);
  window.skip(byte_order_mark(window.rest()).size());
  refuse_other_kinds(window.rest(), file);
  return window;
}

std::vector<std::filesystem::path> matches_of(const std::string& pattern) {
  glob_t found{};
  const int result = glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::filesystem::path> files(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  check(result == 0 || result == GLOB_NOMATCH, ErrorKind::io, "{}: the folder cannot be read", pattern);
  std::erase_if(files, [](const auto& path) { return std::filesystem::is_directory(path); });
  return files;
}

}  // namespace

std::vector<std::filesystem::path> data_files(const std::string& pattern) {
  check(pattern != "-", ErrorKind::invalid,
        "-: rows are read from files, not from standard input; give a file, a folder or a pattern");
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(pattern)) {
    for (const auto& entry : std::filesystem::directory_iterator(pattern)) {
      if (has_data_ending(entry.path()) && entry.is_regular_file()) files.push_back(entry.path());
    }
    check(!files.empty(), ErrorKind::invalid, "{}: no data file in this folder ({})", pattern, data_endings);
  } else if (!std::filesystem::exists(pattern) && pattern.find_first_of("*?[") != std::string::npos) {
    files = matches_of(pattern);
    check(!files.empty(), ErrorKind::not_found, "{}: no file matches", pattern);
  } else {
    files.emplace_back(pattern);
  }
  std::ranges::sort(files);
  return files;
}

DataRow json_row(std::string_view line, const std::string& where, int64_t number, bool in_array) {
  check_row(line, where);
  DataRow row{where, number, in_array, parse_ordered_json(line, where, row_limits)};
  check(row.fields.is_object(), ErrorKind::corrupt, "{}: not a JSON object", where);
  return row;
}

bool is_plain_lines(std::string_view bytes, const std::filesystem::path& path) {
  const std::string ending = content_ending(path);
  if (is_parquet(bytes) || compression_of(bytes) || ending == ".csv" || ending == ".tsv") return false;
  return !is_array(bytes.substr(byte_order_mark(bytes).size()), ending);
}

std::string_view byte_order_mark(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return text.substr(0, text.starts_with(mark) ? mark.size() : 0);
}

std::string row_text(const Json& value) {
  if (value.is_binary()) return {value.get_binary().begin(), value.get_binary().end()};
  if (!value.is_structured()) return json_text(value);
  std::string text(1, value.is_object() ? '{' : '[');
  for (const auto& [key, member] : value.items()) {
    if (text.size() > 1) text += ',';
    if (value.is_object()) text += json_text(Json(key)) + ':';
    text += row_text(member);
  }
  return text + (value.is_object() ? '}' : ']');
}

void read_data_file(const std::filesystem::path& path, const DataFileOptions& options, const RowWork& work) {
  const MmapFile mapped = MmapFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  const std::string file = path.string(), ending = content_ending(path);
  const bool parquet = is_parquet(bytes);
  TextWindow window = window_of(bytes, file);
  const bool is_table = !parquet && (ending == ".csv" || ending == ".tsv");
  check(is_table || options.headerless_columns.empty(), ErrorKind::invalid,
        "{}: columns by number are for .csv and .tsv files", file);
  RowGiver rows(work, mapped);
  rows.read(file, [&] {
    if (is_table) {
      const char separator = ending == ".csv" ? ',' : '\t';
      read_columns(window, file, {separator, separator == ',', options.headerless_columns}, rows);
    } else if (!parquet && is_array(window.rest(), ending)) {
      read_array(window, file, rows);
    } else {
      read_lines(window, file, parquet ? ": row " : ":", rows);
    }
  });
}

void read_data_file(const std::filesystem::path& path, const DataFileOptions& options,
                    const std::function<void(DataRow)>& take) {
  RowWork work;
  work.threads = 0;
  work.begin = [&](DataRow row) {
    take(std::move(row));
    return OrderedWork::End([] {});
  };
  read_data_file(path, options, work);
}

}  // namespace lowrank
