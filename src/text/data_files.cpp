#include "text/data_files.h"

#include <algorithm>
#include <array>
#include <glob.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "text/byte_level.h"
#include "text/table_reader.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_row_bytes = 64 << 20;
constexpr JsonLimits row_limits{.depth = 32, .keys = 1000};
/// An element may need the array's own level beside its own.
constexpr JsonLimits array_limits{.depth = 33, .keys = 1000};
constexpr std::array<std::string_view, 4> endings{".jsonl", ".json", ".csv", ".tsv"};

void check_row(std::string_view text, const std::string& where) {
  check(text.size() <= max_row_bytes, ErrorKind::corrupt, "{}: a line of {} bytes, more than {}", where,
        text.size(), max_row_bytes);
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::corrupt, "{}: not UTF-8 at byte {} of the line", where, malformed.value_or(0));
}

void read_lines(std::string_view rest, const std::string& file, const std::function<void(DataRow)>& take) {
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    DataRow row{fmt::format("{}:{}", file, number), number, {}};
    check_row(line, row.where);
    row.fields = parse_ordered_json(line, row.where, row_limits);
    check(row.fields.is_object(), ErrorKind::corrupt, "{}: not a JSON object", row.where);
    take(std::move(row));
  }
}

void read_array(std::string_view text, const std::string& file, const std::function<void(DataRow)>& take) {
  const std::optional<size_t> malformed = first_malformed(text);
  check(!malformed, ErrorKind::corrupt, "{}: not UTF-8 at byte {}", file, malformed.value_or(0));
  int64_t number = 0;
  parse_json_elements(text, file, array_limits, [&](Json element) {
    DataRow row{fmt::format("{}: row {}", file, ++number), number, std::move(element)};
    check(row.fields.is_object(), ErrorKind::corrupt, "{}: not a JSON object", row.where);
    take(std::move(row));
  });
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

void read_data_file(const std::filesystem::path& path, const DataFileOptions& options,
                    const std::function<void(DataRow)>& take) {
  const MmapFile file = MmapFile::open(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string ending = ending_of(path);
  const bool is_table = ending == ".csv" || ending == ".tsv";
  check(is_table || options.headerless_columns.empty(), ErrorKind::invalid,
        "{}: columns by number are for .csv and .tsv files", path.string());
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (is_table) {
    const char separator = ending == ".csv" ? ',' : '\t';
    read_table(text, path.string(), {separator, separator == ',', options.headerless_columns},
               [&](DataRow row) {
                 for (const auto& [name, value] : row.fields.items())
                   check_row(value.get_ref<const std::string&>(), row.where);
                 take(std::move(row));
               });
  } else if (first != std::string_view::npos && text[first] == '[' && ending == ".json") {
    read_array(text, path.string(), take);
  } else {
    read_lines(text, path.string(), take);
  }
}

}  // namespace lowrank
