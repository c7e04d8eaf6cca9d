#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "study/benchmark/benchmark.h"
#include "study/benchmark/source_files.h"

namespace lowrank {

/// The options of benchmarks that describe triples of subject, property and object.
struct TripleOptions {
  SourceNames names;
  int64_t most_references = 0;

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

/// How descriptions of triples are generated (the paper's length penalty of 0.8; at most 128 tokens) and
/// scored: BLEU, TER and chrF++ of `divided_words`.
BenchmarkScoring triple_scoring();

/// Writes the triples as the paper's code does: subject : property : object | ….
class TripleText {
 public:
  void add(std::string_view subject, std::string_view property, std::string_view object);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Reads a file of JSON of at most 64 MB and calls `take` with each element of its list: the file itself, or
/// what it has under `key`. `where` names the file and the element, counted from 1. Errors: as
/// read_json_file; invalid if there is no such list or it is empty; those of `take` and what JSON's library
/// throws for missing keys and wrong types, collected as BadRows does.
void for_each_element(
    const std::filesystem::path& path, const char* key,
    const std::function<void(const nlohmann::json& element, const std::string& where)>& take);

}  // namespace lowrank
