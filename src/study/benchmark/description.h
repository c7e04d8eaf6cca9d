#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "study/benchmark/benchmark.h"

namespace lowrank {

/// What a prepared folder's benchmark.json says.
struct DescribedBenchmark {
  std::string benchmark;           ///< name in the table
  nlohmann::ordered_json options;  ///< with which it was prepared
};

/// The commands that train on prepared rows, ask the model and score its answers; `folder` stands in front of
/// the files' names.
std::vector<std::string> commands_by_hand(const PreparedBenchmark& prepared, const BenchmarkScoring& scoring,
                                          const std::string& folder);

/// Writes `folder`/benchmark.json: the benchmark and its options, each file with its numbers of rows and
/// references, the metrics, the generation options that differ from the defaults, and the commands. It comes
/// last, so that a folder with it is complete. Returns what it writes. Errors: io.
nlohmann::ordered_json write_description(const BenchmarkInfo& info, const nlohmann::ordered_json& options,
                                         const PreparedBenchmark& prepared,
                                         const std::filesystem::path& folder);

/// Whether a folder has a benchmark.json.
bool is_prepared(const std::filesystem::path& folder);

/// Reads it. Errors: not_found; corrupt.
DescribedBenchmark read_description(const std::filesystem::path& folder);

}  // namespace lowrank
