#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "data/rows/rows.h"
#include "study/benchmark/benchmark.h"
#include "study/benchmark/source_files.h"

namespace lowrank {

/// The options of benchmarks whose files are rows as `train` reads them.
struct RowFileOptions {
  SourceNames names;
  RowOptions rows;
  int64_t max_new_tokens = 128;
  bool only_conversations = false;  ///< other rows are refused; no option

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

/// Prepares such a benchmark: `train`, `validation` and `test` with an ending of data files, or the files
/// that the options name. Errors: as find_source_files, rows_of_file and write_benchmark.
PreparedBenchmark prepare_row_files(const std::filesystem::path& source, const std::filesystem::path& folder,
                                    const RowFileOptions& options, Answer answer, std::string_view benchmark);

/// Scoring by these metrics, of generated texts without spaces at their ends.
BenchmarkScoring score_rows(Answer answer, std::vector<std::string> metrics, const RowFileOptions& options);

}  // namespace lowrank
