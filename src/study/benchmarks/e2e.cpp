// E2E NLG (Novikova et al. 2017, arXiv 1706.09254): a restaurant's properties as a sentence. Several
// descriptions of the same properties are references of one row.
#include <array>

#include "base/error.h"
#include "base/one_line.h"
#include "base/text/characters.h"
#include "data/rows/data_files.h"
#include "data/sources/file_kind.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/generated_text.h"
#include "study/benchmark/rows.h"
#include "study/benchmark/source_files.h"
#include "study/benchmark/source_lines.h"

namespace lowrank {
namespace {

BenchmarkRow row_of(std::string_view properties, std::string_view text, const std::string& where) {
  properties = without_spaces(properties);
  text = without_spaces(text);
  check(!properties.empty() && !text.empty(), ErrorKind::invalid, "{}: the {} empty", where,
        text.empty() ? "description is" : "properties are");
  return prompt_row(data_prompt(properties), " " + std::string(text), std::string(text));
}

/// The lines of the files of the paper's repository: properties||description.
void read_lines(const std::filesystem::path& path, const std::function<void(BenchmarkRow)>& take) {
  constexpr std::string_view separator = "||";
  for_each_line(path, [&](const SourceLine& line) {
    const size_t at = line.text.find(separator);
    check(at != std::string_view::npos, ErrorKind::invalid, "{}: expected properties||description, found {}",
          line.where, in_quotes(line.text));
    const std::string_view text = line.text.substr(at + separator.size());
    check(text.find(separator) == std::string_view::npos, ErrorKind::invalid,
          "{}: more than one || in the line", line.where);
    take(row_of(line.text.substr(0, at), text, line.where));
  });
}

/// The challenge's `name[Blue Spice], eatType[coffee shop]` in the form of those files, with their names.
std::string plain_properties(std::string_view list, const std::string& where) {
  struct Renamed {
    std::string_view from, to;
  };
  static constexpr std::array<Renamed, 3> names{
      {{"eatType", "Type"}, {"priceRange", "price"}, {"familyFriendly", "family friendly"}}};
  std::string plain;
  while (!list.empty()) {
    const size_t open = list.find('['), close = list.find(']');
    check(open != std::string_view::npos && close != std::string_view::npos && open < close,
          ErrorKind::invalid, "{}: \"mr\" is not a list of name[value]: {}", where, in_quotes(list));
    std::string_view name = without_spaces(list.substr(0, open));
    for (const Renamed& renamed : names) {
      if (name == renamed.from) name = renamed.to;
    }
    plain += fmt::format("{}{} : {}", plain.empty() ? "" : " | ", name,
                         without_spaces(list.substr(open + 1, close - open - 1)));
    list.remove_prefix(close + 1);
    list.remove_prefix(std::min(list.find_first_not_of(", "), list.size()));
  }
  return plain;
}

void read_challenge(const std::filesystem::path& path, const std::function<void(BenchmarkRow)>& take) {
  read_data_file(path, {}, [&](const DataRow& row) {
    const auto text_of = [&](const char* key) {
      const auto found = row.fields.find(key);
      check(found != row.fields.end() && found->is_string(), ErrorKind::invalid,
            "{}: the row has no column \"{}\"; E2E's tables have mr and ref", row.where, key);
      return found->get<std::string>();
    };
    take(row_of(plain_properties(text_of("mr"), row.where), text_of("ref"), row.where));
  });
}

BenchmarkRows rows_of(const std::filesystem::path& path) {
  if (path.empty()) return nullptr;
  return [path](const std::function<void(BenchmarkRow)>& take) {
    content_ending(path) == ".csv" ? read_challenge(path, take) : read_lines(path, take);
  };
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  constexpr std::array<std::string_view, 5> folders{"", "e2e", "data/e2e", "examples/NLG/data/e2e",
                                                    "NLG/data/e2e"};
  const SourceNames names = read_entry_options<SourceNames>(options, "e2e");
  const auto files =
      find_source_files(source, folders,
                        three_parts(names, {"train.txt", "trainset.csv"}, {"valid.txt", "devset.csv"},
                                    {"test.txt", "testset_w_refs.csv"}),
                        "e2e");
  return write_benchmark(rows_of(files[0]), rows_of(files[1]), {{"test", rows_of(files[2])}}, folder);
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  read_entry_options<SourceNames>(options, "e2e");
  constexpr double length_penalty = 0.9;
  constexpr int64_t tokens = 64;
  return {Answer::text,
          {"e2e_bleu", "nist", "e2e_rouge_l", "e2e_cider", "ter", "chrf"},
          paper_beam_search(length_penalty, tokens)};
}

}  // namespace

extern const BenchmarkInfo e2e_benchmark;
const BenchmarkInfo e2e_benchmark{
    "e2e",
    "restaurants' properties as sentences (arXiv 1706.09254): train.txt, valid.txt and test.txt of "
    "microsoft/LoRA, or trainset.csv, devset.csv and testset_w_refs.csv of the E2E challenge",
    prepare, scoring, entry_options<SourceNames>};

}  // namespace lowrank
