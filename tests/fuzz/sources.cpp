// Compressed data files, and Parquet tables where the module that reads them is beside the program or named
// by LOWRANK_PARQUET.
#include <array>

#include "data/rows/rows.h"
#include "fuzz/input_files.h"
#include "fuzz/target.h"
#include "support/packed_text.h"

namespace lowrank::fuzz {
namespace {

/// The first byte chooses the file's name and how it came to be; the file, or what it is made of, follows.
constexpr std::array names = {"rows.jsonl", "rows.json.gz", "rows.csv.zst", "rows.tsv"};
enum class Made : uint8_t { as_it_is, gzip, zstd, members };

Made made_of(uint8_t choice) {
  return static_cast<Made>(choice / names.size() % 4);
}

/// What stands in the file: the input, or the input compressed, so that changes of the text get past its
/// checksum.
std::string file_of(Made made, std::string_view text) {
  switch (made) {
    case Made::gzip:
      return test::gzip(text);
    case Made::zstd:
      return test::zstd(text);
    case Made::members:
      return test::gzip(text.substr(0, text.size() / 2)) + test::gzip(text.substr(text.size() / 2));
    case Made::as_it_is:
      break;
  }
  return std::string(text);
}

}  // namespace

extern const Target sources_target;
const Target sources_target{[](std::string_view input) {
  if (input.empty()) return;
  const auto choice = static_cast<uint8_t>(input[0]);
  const std::string file = file_of(made_of(choice), input.substr(1));
  const auto path = folder().write(names[choice % names.size()], file);
  answers([&] {
    read_rows(path.string(), {"", {}, false}, [](const Row& row, const nlohmann::ordered_json& json) {
      volatile size_t sum = row.prompt.size() + row.completion.size() + row.input_ids.size() + json.size();
      (void)sum;
    });
  });
}};

}  // namespace lowrank::fuzz
