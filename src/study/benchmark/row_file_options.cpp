#include "study/benchmark/row_file_options.h"

#include <array>

#include "study/benchmark/generated_text.h"
#include "study/benchmark/row_files.h"

namespace lowrank {
namespace {

std::vector<std::string> with_endings(std::initializer_list<std::string_view> names) {
  std::vector<std::string> files;
  for (const std::string_view name : names) {
    for (const char* ending : {".jsonl", ".json", ".csv", ".tsv", ".parquet"})
      files.push_back(std::string(name) + ending);
  }
  return files;
}

}  // namespace

std::vector<Field> RowFileOptions::fields() {
  std::vector<Field> fields = names.fields();
  fields.push_back(field("format", rows.format, row_format_help));
  fields.push_back(field("columns", rows.columns, columns_help));
  fields.push_back(limited(field("max_new_tokens", max_new_tokens, "the longest generated answer, in tokens"),
                           1, 1 << 20));
  return fields;
}

PreparedBenchmark prepare_row_files(const std::filesystem::path& source, const std::filesystem::path& folder,
                                    const RowFileOptions& options, Answer answer,
                                    std::string_view benchmark) {
  constexpr std::array<std::string_view, 1> folders{""};
  const auto files =
      find_source_files(source, folders,
                        three_parts(options.names, with_endings({"train"}),
                                    with_endings({"validation", "valid", "dev"}), with_endings({"test"})),
                        benchmark);
  const auto rows = [&](size_t part) {
    return files[part].empty() ? nullptr
                               : rows_of_file(files[part], options.rows, answer, options.only_conversations);
  };
  return write_benchmark(rows(0), rows(1), {{"test", rows(2), answer == Answer::text}}, folder);
}

BenchmarkScoring score_rows(Answer answer, std::vector<std::string> metrics, const RowFileOptions& options) {
  BenchmarkScoring scoring{answer, std::move(metrics), {}};
  scoring.generation.max_new_tokens = options.max_new_tokens;
  if (answer == Answer::text) scoring.extract = trimmed;
  return scoring;
}

}  // namespace lowrank
