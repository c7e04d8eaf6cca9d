#include "data/data_files.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <glob.h>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "data/bad_rows.h"
#include "data/table_reader.h"
#include "tokenizer/core/byte_level.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_row_bytes = 64 << 20;
constexpr JsonLimits row_limits{.depth = 32, .keys = 1000};
/// The elements of an array are one level deeper.
constexpr JsonLimits array_limits{.depth = 33, .keys = 1000};
constexpr std::array<std::string_view, 4> endings{".jsonl", ".json", ".csv", ".tsv"};

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

void read_lines(std::string_view rest, const std::string& file, RowGiver& rows) {
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    std::string where = fmt::format("{}:{}", file, number);
    const auto make = [line, where, number] {
      check_row(line, where);
      DataRow row{where, number, false, parse_ordered_json(line, where, row_limits)};
      check(row.fields.is_object(), ErrorKind::corrupt, "{}: not a JSON object", where);
      return row;
    };
    rows.give(std::move(where), number, make, line.size());
  }
}

void read_array(std::string_view text, const std::string& file, RowGiver& rows) {
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::corrupt, "{}: not UTF-8 at byte {}", file, malformed.value_or(0));
  int64_t number = 0;
  parse_json_elements(text, file, array_limits, [&](Json element) {
    const std::string where = fmt::format("{}: row {}", file, ++number);
    auto make = [where, number, element = std::move(element)]() mutable {
      check(element.is_object(), ErrorKind::corrupt, "{}: not a JSON object", where);
      return DataRow{where, number, true, std::move(element)};
    };
    constexpr size_t roughly = 1024;
    rows.give(where, number, std::move(make), roughly);
  });
}

/// Whether the text is an array of rows; JSON lines never begin like one.
bool is_array(std::string_view text, std::string_view ending) {
  constexpr std::string_view spaces = " \t\r\n";
  const size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos || text[first] != '[') return false;
  const size_t row = text.find_first_not_of(spaces, first + 1);
  return ending == ".json" || (row != std::string_view::npos && text[row] == '{');
}

void read_columns(std::string_view text, const std::string& file, const TableFormat& format, RowGiver& rows) {
  read_table(text, file, format, [&](std::string where, int64_t line, MakeRow make, size_t bytes) {
    const auto make_checked = [make = std::move(make)] {
      DataRow row = make();
      for (const auto& [name, value] : row.fields.items())
        check_row(value.get_ref<const std::string&>(), row.where);
      return row;
    };
    rows.give(std::move(where), line, make_checked, bytes);
  });
}

/// Kinds of files, recognised by their first bytes.
struct Kind {
  std::string_view start, name, remedy;
};
constexpr std::string_view unpack = "unpack it first";
constexpr std::string_view convert_table = "convert it to JSON lines or CSV first";
constexpr std::string_view as_utf8 = "convert it first: iconv -f UTF-16 -t UTF-8 FILE";
constexpr std::array<Kind, 16> kinds{{
    {"\x1F\x8B", "compressed with gzip", unpack},
    {"\x28\xB5\x2F\xFD", "compressed with zstd", unpack},
    {{"\xFD\x37zXZ\0", 6}, "compressed with xz", unpack},
    {"BZh", "compressed with bzip2", unpack},
    {"\x04\x22\x4D\x18", "compressed with lz4", unpack},
    {"PK\x03\x04", "a ZIP archive (or an Excel table)", unpack},
    {"7z\xBC\xAF\x27\x1C", "a 7z archive", unpack},
    {"PAR1", "a Parquet table", convert_table},
    {"ARROW1", "an Arrow table", convert_table},
    {"SQLite format 3", "an SQLite database", convert_table},
    {"\x89HDF", "an HDF5 file", convert_table},
    {"\x93NUMPY", "a NumPy array", convert_table},
    {{"\xFF\xFE\0\0", 4}, "UTF-32", "convert it first: iconv -f UTF-32 -t UTF-8 FILE"},
    {"\xFF\xFE", "UTF-16", as_utf8},
    {"\xFE\xFF", "UTF-16", as_utf8},
    {"GGUF", "a GGUF model", "`data` takes rows of text"},
}};

void refuse_other_kinds(std::string_view text, const std::string& file) {
  for (const Kind& kind : kinds) {
    check(!text.starts_with(kind.start), ErrorKind::unsupported, "{}: the file is {}; {}", file, kind.name,
          kind.remedy);
  }
  check(text.substr(0, 4).find('\0') == std::string_view::npos, ErrorKind::unsupported,
        "{}: the file begins with zero bytes, as UTF-16 and binary files do; it must be text in UTF-8", file);
}

std::string ending_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
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
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(pattern)) {
    for (const auto& entry : std::filesystem::directory_iterator(pattern)) {
      const bool known = std::ranges::find(endings, ending_of(entry.path())) != endings.end();
      if (known && entry.is_regular_file()) files.push_back(entry.path());
    }
    check(!files.empty(), ErrorKind::invalid, "{}: no .jsonl, .json, .csv or .tsv file in this folder",
          pattern);
  } else if (!std::filesystem::exists(pattern) && pattern.find_first_of("*?[") != std::string::npos) {
    files = matches_of(pattern);
    check(!files.empty(), ErrorKind::not_found, "{}: no file matches", pattern);
  } else {
    files.emplace_back(pattern);
  }
  std::ranges::sort(files);
  return files;
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
  const std::string file = path.string();
  std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string ending = ending_of(path);
  const bool is_table = ending == ".csv" || ending == ".tsv";
  check(is_table || options.headerless_columns.empty(), ErrorKind::invalid,
        "{}: columns by number are for .csv and .tsv files", file);
  refuse_other_kinds(text, file);
  RowGiver rows(work, mapped);
  rows.read(file, [&] {
    if (is_table) {
      const char separator = ending == ".csv" ? ',' : '\t';
      read_columns(text, file, {separator, separator == ',', options.headerless_columns}, rows);
    } else if (is_array(text, ending)) {
      read_array(text, file, rows);
    } else {
      read_lines(text, file, rows);
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
