#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "study/benchmark/benchmark.h"

namespace lowrank {

/// A row of a benchmark before it is written.
struct BenchmarkRow {
  nlohmann::ordered_json fields;  ///< as `train` reads it
  std::string group;              ///< what rows share that belong together: the prompt
  std::vector<std::string> references;
};

/// Calls its argument with every row, in order; it may be called several times. Errors: those of reading.
using BenchmarkRows = std::function<void(const std::function<void(BenchmarkRow)>& take)>;

/// A row of prompt and completion. Both are taken as they are; the completion is the reference.
BenchmarkRow prompt_row(std::string prompt, std::string completion, std::string reference);

/// A row of one or two texts with a class or a number, whose published form is the reference.
BenchmarkRow labelled_row(std::vector<std::string> texts, nlohmann::ordered_json label,
                          std::string reference);

/// A file of JSON lines that appears once it is complete.
class RowFile {
 public:
  /// Errors: as AtomicFile.
  explicit RowFile(const std::filesystem::path& path) : file_(path) {}
  void write(const nlohmann::ordered_json& row);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

/// Rows that are asked after training.
struct AskedSource {
  std::string name;  ///< as AskedRows has it; also the file's
  BenchmarkRows rows;
  bool joined = true;           ///< rows of one group become one, with the references of all
  int64_t most_references = 0;  ///< of a row; 0: all
};

/// Writes the rows, with their references where several can be (`joined`), to `folder`/NAME.jsonl. Errors:
/// invalid if there are none; as `rows` and AtomicFile.
AskedRows write_asked_rows(const AskedSource& source, const std::filesystem::path& folder);

/// Writes `folder`/train.jsonl and `folder`/validation.jsonl. Without `validation` (empty), its rows are
/// taken from the training rows, groups as a whole: in the order of a hash of their group (FNV-1a, mixed by
/// Philox), until a twentieth of the rows is reached, or 1,000. The rule depends on nothing but the rows.
/// Errors: invalid for files without rows, and for one group alone that would have to be divided; as the
/// sources and AtomicFile.
void write_training_rows(const BenchmarkRows& train, const BenchmarkRows& validation,
                         const std::filesystem::path& folder);

/// All parts of a benchmark. Errors: as the two.
PreparedBenchmark write_benchmark(const BenchmarkRows& train, const BenchmarkRows& validation,
                                  const std::vector<AskedSource>& asked, const std::filesystem::path& folder);

}  // namespace lowrank
