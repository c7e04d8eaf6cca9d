#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.h"
#include "infer/generate.h"

namespace lowrank {

/// What a benchmark asks of a model for a row.
enum class Answer {
  text,    ///< generated; compared with the row's references
  label,   ///< one of the classes of the rows
  number,  ///< a regression
  loss     ///< nothing: the mean loss of the completions is the score
};

/// Rows that are asked after training. What a metric compares is the prediction and the row's references.
struct AskedRows {
  std::string name;  ///< "test"; MNLI has "matched" and "mismatched"
  std::filesystem::path
      rows;  ///< JSON lines, as `train` reads them: one line per distinct prompt, or per text
  /// References of each row; one for labels and numbers.
  std::vector<std::vector<std::string>> references;
};

/// A benchmark's published files as rows that the rest of the program reads.
struct PreparedBenchmark {
  std::filesystem::path train;       ///< JSON lines
  std::filesystem::path validation;  ///< JSON lines; chooses rates and stops a run
  std::vector<AskedRows> asked;      ///< at least one
};

/// How a prepared benchmark is scored.
struct BenchmarkScoring {
  Answer answer = Answer::text;
  std::vector<std::string> metrics;  ///< names of metrics/registry.h; the first ranks; empty for `loss`
  GenerationOptions generation;      ///< for `text`: what the literature uses
  /// What of a generated text, and of a reference, the metrics compare; null: the whole text.
  std::string (*extract)(std::string_view text) = nullptr;
};

/// A benchmark's options with their default values, as fields that point into `values`.
struct BenchmarkOptions {
  std::shared_ptr<void> values;
  std::vector<Field> fields;
};

/// A benchmark: one entry of the table of study/benchmarks, one file each.
struct BenchmarkInfo {
  std::string_view name;
  std::string_view description;  ///< one line, with the source and the files that it expects
  /// The rows of published files in `source` (a folder or a file), written to `folder`. Errors: not_found and
  /// invalid, all problems at once, with file and line.
  PreparedBenchmark (*prepare)(const std::filesystem::path& source, const std::filesystem::path& folder,
                               const nlohmann::ordered_json& options) = nullptr;
  /// Errors: invalid for an option that is unknown or has a wrong value.
  BenchmarkScoring (*scoring)(const nlohmann::ordered_json& options) = nullptr;
  /// A new value of the options that the two take: for flags and help.
  BenchmarkOptions (*options)() = nullptr;
};

/// All benchmarks, in the order of their names.
std::span<const BenchmarkInfo> all_benchmarks();

/// The benchmark of a name. Errors: not_found, with the nearest name.
const BenchmarkInfo& benchmark_of_name(std::string_view name);

}  // namespace lowrank
