// Rows of one's own, in any layout that `train` reads, scored by chosen metrics.
#include "base/error.h"
#include "metrics/registry.h"
#include "study/benchmark/entry_options.h"
#include "study/benchmark/row_file_options.h"

namespace lowrank {
namespace {

using metrics::MetricInput;

struct JsonlOptions {
  RowFileOptions files;
  std::vector<std::string> metrics{"exact_match"};

  std::vector<Field> fields() {
    std::vector<Field> fields = files.fields();
    fields.push_back(field("metrics", metrics,
                           "names of metrics, the first of which ranks; those of texts are of generated "
                           "answers, those of labels and numbers of what an encoder predicts; an empty list "
                           "([]): the loss"));
    return fields;
  }

  /// What the metrics compare. Errors: not_found; invalid for metrics of different kinds.
  Answer answer() const {
    if (metrics.empty()) return Answer::loss;
    const MetricInput first = metrics::metric_of_name(metrics.front()).input;
    for (const std::string& name : metrics) {
      check(
          metrics::metric_of_name(name).input == first, ErrorKind::invalid,
          "the metrics {} and {} compare different things (texts, labels or numbers); give those of one kind",
          metrics.front(), name);
    }
    return first == MetricInput::texts    ? Answer::text
           : first == MetricInput::labels ? Answer::label
                                          : Answer::number;
  }
};

JsonlOptions read(const nlohmann::ordered_json& options) {
  auto read = read_entry_options<JsonlOptions>(options, "jsonl");
  const Answer answer = read.answer();
  // Labels are read only from rows that are said to have them.
  if ((answer == Answer::label || answer == Answer::number) && read.files.rows.format.empty())
    read.files.rows.format = "label";
  return read;
}

PreparedBenchmark prepare(const std::filesystem::path& source, const std::filesystem::path& folder,
                          const nlohmann::ordered_json& options) {
  const JsonlOptions chosen = read(options);
  return prepare_row_files(source, folder, chosen.files, chosen.answer(), "jsonl");
}

BenchmarkScoring scoring(const nlohmann::ordered_json& options) {
  const JsonlOptions chosen = read(options);
  return score_rows(chosen.answer(), chosen.metrics, chosen.files);
}

}  // namespace

extern const BenchmarkInfo jsonl_benchmark;
const BenchmarkInfo jsonl_benchmark{
    "jsonl", "rows of your own: train.jsonl, test.jsonl and perhaps validation.jsonl, or other data files",
    prepare, scoring, entry_options<JsonlOptions>};

}  // namespace lowrank
