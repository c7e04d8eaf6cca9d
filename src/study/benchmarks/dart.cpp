// DART (Nan et al. 2020, arXiv 2007.02871): triples from tables, WebNLG and E2E as sentences.
#include <array>

#include "base/error.h"
#include "base/text/characters.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/generated_text.h"
#include "study/benchmark/rows.h"
#include "study/benchmark/triples.h"

namespace lowrank {
namespace {

void read_entry(const nlohmann::json& entry, const std::string& where,
                const std::function<void(BenchmarkRow)>& take) {
  TripleText triples;
  for (const nlohmann::json& triple : entry.at("tripleset")) {
    check(triple.is_array() && triple.size() == 3, ErrorKind::corrupt, "{}: a triple without three parts",
          where);
    triples.add(triple[0].get<std::string>(), lower_case(triple[1].get<std::string>()),
                triple[2].get<std::string>());
  }
  check(!triples.text().empty(), ErrorKind::invalid, "{}: there are no triples", where);
  for (const nlohmann::json& annotation : entry.at("annotations")) {
    const std::string text = trimmed(annotation.at("text").get<std::string>());
    take(prompt_row(data_prompt(triples.text()), " " + text, text));
  }
}

BenchmarkRows rows_of(const std::filesystem::path& path) {
  if (path.empty()) return nullptr;
  return [path](const std::function<void(BenchmarkRow)>& take) {
    for_each_element(path, nullptr, [&](const nlohmann::json& entry, const std::string& where) {
      read_entry(entry, where, take);
    });
  };
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  constexpr std::array<std::string_view, 5> folders{"", "dart", "data/dart", "examples/NLG/data/dart",
                                                    "NLG/data/dart"};
  const auto read = read_entry_options<TripleOptions>(options, "dart");
  const auto named = [](const char* part) {
    return std::vector<std::string>{fmt::format("dart-v1.1.1-full-{}.json", part),
                                    fmt::format("{}.json", part)};
  };
  const auto files = find_source_files(
      source, folders, three_parts(read.names, named("train"), named("dev"), named("test")), "dart");
  const AskedSource asked{"test", rows_of(files[2]), true, read.most_references};
  return write_benchmark(rows_of(files[0]), rows_of(files[1]), {asked}, folder);
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  read_entry_options<TripleOptions>(options, "dart");
  return triple_scoring();
}

}  // namespace

extern const BenchmarkInfo dart_benchmark;
const BenchmarkInfo dart_benchmark{"dart",
                                   "triples of tables as sentences (arXiv 2007.02871): "
                                   "dart-v1.1.1-full-train.json, -dev.json and -test.json, "
                                   "as in microsoft/LoRA",
                                   prepare, scoring, entry_options<TripleOptions>};

}  // namespace lowrank
