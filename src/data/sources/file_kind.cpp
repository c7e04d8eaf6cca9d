#include "data/sources/file_kind.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lowrank {
namespace {

constexpr std::array<std::string_view, 5> endings{".jsonl", ".json", ".csv", ".tsv", ".parquet"};
constexpr std::array<std::string_view, 3> compressed_endings{".gz", ".zst", ".zstd"};

/// Kinds of files, recognised by their first bytes.
struct Kind {
  std::string_view start, name, remedy;
};
constexpr std::string_view unpack = "unpack it first";
constexpr std::string_view unpack_inner = "unpack it once more";
constexpr std::string_view convert_table = "convert it to JSON lines or CSV first";
constexpr std::string_view as_utf8 = "convert it first: iconv -f UTF-16 -t UTF-8 FILE";
constexpr std::string_view parquet_start = "PAR1";
constexpr std::array<Kind, 18> kinds{{
    {"\x1F\x8B", "compressed with gzip twice", unpack_inner},
    {"\x28\xB5\x2F\xFD", "compressed with zstd twice", unpack_inner},
    {{"\xFD\x37zXZ\0", 6}, "compressed with xz", unpack},
    {"BZh", "compressed with bzip2", unpack},
    {"\x04\x22\x4D\x18", "compressed with lz4", unpack},
    {"PK\x03\x04", "a ZIP archive (or an Excel table)", unpack},
    {"7z\xBC\xAF\x27\x1C", "a 7z archive", unpack},
    {parquet_start, "a compressed Parquet table", unpack},
    {"PARE", "a Parquet table with an encrypted footer", "decrypt it first"},
    {"ARROW1", "an Arrow table", convert_table},
    {"SQLite format 3", "an SQLite database", convert_table},
    {"\x89HDF", "an HDF5 file", convert_table},
    {"\x93NUMPY", "a NumPy array", convert_table},
    {{"\xFF\xFE\0\0", 4}, "UTF-32", "convert it first: iconv -f UTF-32 -t UTF-8 FILE"},
    {"\xFF\xFE", "UTF-16", as_utf8},
    {"\xFE\xFF", "UTF-16", as_utf8},
    {"GGUF", "a GGUF model", "`data` takes rows of text"},
    {"\x80\x04\x95", "a Python pickle, which is never read", convert_table},
}};

std::string ending_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

}  // namespace

std::string content_ending(const std::filesystem::path& path) {
  const std::string ending = ending_of(path);
  const bool compressed = std::ranges::find(compressed_endings, ending) != compressed_endings.end();
  return compressed ? ending_of(path.stem()) : ending;
}

bool has_data_ending(const std::filesystem::path& path) {
  return std::ranges::find(endings, content_ending(path)) != endings.end();
}

bool is_parquet(std::string_view start) {
  return start.starts_with(parquet_start);
}

void refuse_other_kinds(std::string_view text, const std::string& file) {
  for (const Kind& kind : kinds) {
    check(!text.starts_with(kind.start), ErrorKind::unsupported, "{}: the file is {}; {}", file, kind.name,
          kind.remedy);
  }
  constexpr size_t tar_mark = 257;
  const bool tar = text.size() > tar_mark && text.substr(tar_mark).starts_with("ustar");
  check(!tar, ErrorKind::unsupported, "{}: the file is a tar archive; {}", file, unpack);
  check(text.substr(0, 4).find('\0') == std::string_view::npos, ErrorKind::unsupported,
        "{}: the file begins with zero bytes, as UTF-16 and binary files do; it must be text in UTF-8", file);
}

}  // namespace lowrank
