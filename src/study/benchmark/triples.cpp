#include "study/benchmark/triples.h"

#include <limits>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/one_line.h"
#include "data/rows/bad_rows.h"
#include "study/benchmark/generated_text.h"

namespace lowrank {

std::vector<Field> TripleOptions::fields() {
  std::vector<Field> fields = names.fields();
  fields.push_back(
      limited(field("most_references", most_references,
                    "references of a test row that are kept, the first ones; 0: all (the paper's "
                    "code keeps 6)"),
              0, std::numeric_limits<double>::infinity()));
  return fields;
}

BenchmarkScoring triple_scoring() {
  constexpr double length_penalty = 0.8;
  constexpr int64_t tokens = 128;
  return {Answer::text, {"bleu", "ter", "chrf++"}, paper_beam_search(length_penalty, tokens), divided_words};
}

void TripleText::add(std::string_view subject, std::string_view property, std::string_view object) {
  text_ += fmt::format("{}{} : {} : {}", text_.empty() ? "" : " | ", subject, property, object);
}

void for_each_element(
    const std::filesystem::path& path, const char* key,
    const std::function<void(const nlohmann::json& element, const std::string& where)>& take) {
  constexpr int64_t most_bytes = 64 << 20;
  constexpr JsonLimits limits{.values = 4'000'000};
  const std::string file = path.string();
  const nlohmann::json whole = read_json_file(path, most_bytes, limits);
  const bool has_key = key && whole.is_object() && whole.contains(key);
  const nlohmann::json& list = has_key ? whole[key] : whole;
  check(list.is_array() && (has_key || !key) && !list.empty(), ErrorKind::invalid,
        "{}: expected {}a list that is not empty", file,
        key ? fmt::format("an object with {}, ", in_quotes(key)) : "");
  BadRows bad;
  int64_t number = 0;
  for (const nlohmann::json& element : list) {
    throw_if_interrupted();
    const std::string where = fmt::format("{}: entry {}", file, ++number);
    bad.attempt(where, number, [&] {
      try {
        take(element, where);
      } catch (const nlohmann::json::exception& error) {
        fail(ErrorKind::corrupt, "{}: {}", where, one_line(error.what()));
      }
    });
  }
  bad.finish();
}

}  // namespace lowrank
