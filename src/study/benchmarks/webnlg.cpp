// WebNLG 2017 (Gardent et al. 2017): triples of DBpedia as sentences. The texts that annotators found good
// are the references of a row.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/characters.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/generated_text.h"
#include "study/benchmark/rows.h"
#include "study/benchmark/triples.h"

namespace lowrank {
namespace {

/// The categories of the training rows.
constexpr std::array<std::string_view, 10> seen_categories{
    "Airport", "Astronaut", "Building",   "City",       "ComicsCharacter",
    "Food",    "Monument",  "SportsTeam", "University", "WrittenWork"};

struct WebNlgOptions {
  TripleOptions triples;
  std::string categories = "all";

  std::vector<Field> fields() {
    std::vector<Field> fields = triples.fields();
    fields.push_back(one_of(field("categories", categories,
                                  "test rows that are asked: all, or those whose category the training rows "
                                  "have (seen) or lack (unseen)"),
                            {"all", "seen", "unseen"}));
    return fields;
  }
};

bool is_asked(const std::string& category, const std::string& categories) {
  if (categories == "all") return true;
  return (std::ranges::find(seen_categories, category) != seen_categories.end()) == (categories == "seen");
}

void read_entry(const nlohmann::json& entry, const std::string& where, const std::string& categories,
                const std::function<void(BenchmarkRow)>& take) {
  check(entry.is_object() && entry.size() == 1, ErrorKind::corrupt, "{}: expected an object with one key",
        where);
  const nlohmann::json& content = entry.begin().value();
  if (!is_asked(content.at("category").get<std::string>(), categories)) return;
  TripleText triples;
  for (const nlohmann::json& triple : content.at("modifiedtripleset"))
    triples.add(triple.at("subject").get<std::string>(), triple.at("property").get<std::string>(),
                triple.at("object").get<std::string>());
  check(!triples.text().empty(), ErrorKind::invalid, "{}: there are no triples", where);
  for (const nlohmann::json& written : content.at("lexicalisations")) {
    if (written.at("comment").get<std::string>() != "good") continue;
    const std::string text = trimmed(written.at("lex").get<std::string>());
    take(prompt_row(data_prompt(triples.text()), " " + text, text));
  }
}

BenchmarkRows rows_of(const std::filesystem::path& path, const std::string& categories) {
  if (path.empty()) return nullptr;
  return [path, categories](const std::function<void(BenchmarkRow)>& take) {
    for_each_element(path, "entries", [&](const nlohmann::json& entry, const std::string& where) {
      read_entry(entry, where, categories, take);
    });
  };
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  constexpr std::array<std::string_view, 5> folders{"", "webnlg", "data/webnlg_challenge_2017",
                                                    "examples/NLG/data/webnlg_challenge_2017",
                                                    "NLG/data/webnlg_challenge_2017"};
  const auto read = read_entry_options<WebNlgOptions>(options, "webnlg");
  const auto files = find_source_files(
      source, folders, three_parts(read.triples.names, {"train.json"}, {"dev.json"}, {"test.json"}),
      "webnlg");
  const AskedSource asked{"test", rows_of(files[2], read.categories), true, read.triples.most_references};
  return write_benchmark(rows_of(files[0], "all"), rows_of(files[1], "all"), {asked}, folder);
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  read_entry_options<WebNlgOptions>(options, "webnlg");
  return triple_scoring();
}

}  // namespace

extern const BenchmarkInfo webnlg_benchmark;
const BenchmarkInfo webnlg_benchmark{
    "webnlg",
    "triples of DBpedia as sentences (WebNLG 2017): train.json, dev.json and test.json of microsoft/LoRA",
    prepare, scoring, entry_options<WebNlgOptions>};

}  // namespace lowrank
