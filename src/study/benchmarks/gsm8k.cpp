// GSM8K (Cobbe et al. 2021, arXiv 2110.14168): school mathematics. The number after #### is compared, as
// grade-school-math's `extract_answer` finds it.
#include <array>

#include "base/error.h"
#include "data/rows/data_files.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/rows.h"
#include "study/benchmark/source_files.h"

namespace lowrank {
namespace {

constexpr std::string_view no_answer = "[invalid]";

struct Gsm8kOptions {
  SourceNames names;
  bool calculations = true;

  std::vector<Field> fields() {
    std::vector<Field> fields = names.fields();
    fields.push_back(field("calculations", calculations,
                           "keeps the calculations that the answers have in << >>, which the published code "
                           "carries out"));
    return fields;
  }
};

bool is_of_number(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == ',';
}

/// What the expression `#### (\-?[0-9\.\,]+)` finds first, without commas; "[invalid]" where it finds
/// nothing. Numbers are not read further: 18. and 18 differ, as in the reference.
std::string final_number(std::string_view text) {
  constexpr std::string_view marker = "#### ";
  for (size_t at = text.find(marker); at != std::string_view::npos; at = text.find(marker, at + 1)) {
    std::string_view rest = text.substr(at + marker.size());
    std::string number;
    if (rest.starts_with('-')) {
      number = "-";
      rest.remove_prefix(1);
    }
    if (rest.empty() || !is_of_number(rest.front())) continue;
    for (const char c : rest) {
      if (!is_of_number(c)) break;
      if (c != ',') number += c;
    }
    return number;
  }
  return std::string(no_answer);
}

std::string without_calculations(std::string_view answer) {
  std::string text;
  while (true) {
    const size_t open = answer.find("<<");
    const size_t close = open == std::string_view::npos ? open : answer.find(">>", open);
    if (close == std::string_view::npos) return text.append(answer);
    text += answer.substr(0, open);
    answer.remove_prefix(close + 2);
  }
}

BenchmarkRows rows_of(const std::filesystem::path& path, bool calculations) {
  if (path.empty()) return nullptr;
  return [path, calculations](const std::function<void(BenchmarkRow)>& take) {
    read_data_file(path, {}, [&](const DataRow& row) {
      const auto text_of = [&](const char* key) {
        const auto found = row.fields.find(key);
        check(found != row.fields.end() && found->is_string(), ErrorKind::invalid,
              "{}: the row has no text \"{}\"; GSM8K's rows have question and answer", row.where, key);
        return found->get<std::string>();
      };
      const std::string published = text_of("answer");
      check(final_number(published) != no_answer, ErrorKind::invalid,
            "{}: \"answer\" has no line `#### number`", row.where);
      const std::string answer = calculations ? published : without_calculations(published);
      take(prompt_row(text_of("question") + "\n", answer, answer));
    });
  };
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  constexpr std::array<std::string_view, 3> folders{"", "gsm8k", "grade_school_math/data"};
  const auto read = read_entry_options<Gsm8kOptions>(options, "gsm8k");
  const auto files = find_source_files(
      source, folders, three_parts(read.names, {"train.jsonl"}, {"validation.jsonl"}, {"test.jsonl"}),
      "gsm8k");
  const auto rows = [&](size_t part) { return rows_of(files[part], read.calculations); };
  return write_benchmark(rows(0), rows(1), {{"test", rows(2)}}, folder);
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  read_entry_options<Gsm8kOptions>(options, "gsm8k");
  BenchmarkScoring scoring{Answer::text, {"exact_match"}, {}, final_number};
  scoring.generation.max_new_tokens = 400;
  return scoring;
}

}  // namespace

extern const BenchmarkInfo gsm8k_benchmark;
const BenchmarkInfo gsm8k_benchmark{
    "gsm8k",
    "school mathematics, the final number (arXiv 2110.14168): train.jsonl and test.jsonl of "
    "openai/grade-school-math, rows of question and answer",
    prepare, scoring, entry_options<Gsm8kOptions>};

}  // namespace lowrank
