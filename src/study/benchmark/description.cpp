#include "study/benchmark/description.h"

#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "study/benchmark/source_lines.h"

namespace lowrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* file_name = "benchmark.json";

std::string_view name_of(Answer answer) {
  switch (answer) {
    case Answer::text:
      return "text";
    case Answer::label:
      return "label";
    case Answer::number:
      return "number";
    case Answer::loss:
      break;
  }
  return "loss";
}

Json file_entry(const std::filesystem::path& path) {
  int64_t rows = 0;
  for_each_line(path, [&](const SourceLine&) { ++rows; });
  return {{"file", path.filename().string()}, {"rows", rows}};
}

/// The generation options that are not the defaults.
Json chosen_generation(GenerationOptions generation) {
  GenerationOptions defaults;
  const nlohmann::json usual = resolved(defaults.fields());
  Json chosen = Json::object();
  for (const Field& field : generation.fields()) {
    if (field.get() != usual[field.name]) chosen[field.name] = field.get();
  }
  return chosen;
}

/// A value on a command line.
std::string argument(const Json& value) {
  return value.is_string()       ? value.get<std::string>()
         : value.is_structured() ? "'" + value.dump() + "'"
                                 : value.dump();
}

std::string generation_flags(const GenerationOptions& generation) {
  std::string flags;
  const Json chosen = chosen_generation(generation);
  for (const auto& [name, value] : chosen.items())
    flags += fmt::format(" {} {}", flag_name(name), argument(value));
  return flags;
}

}  // namespace

std::vector<std::string> commands_by_hand(const PreparedBenchmark& prepared, const BenchmarkScoring& scoring,
                                          const std::string& folder) {
  const auto in_folder = [&](const std::filesystem::path& path) {
    return (std::filesystem::path(folder) / path.filename()).string();
  };
  std::vector<std::string> commands{
      fmt::format("lowrank train --model MODEL --data {} --eval-data {} --output adapter",
                  in_folder(prepared.train), in_folder(prepared.validation))};
  const std::string score_with = folder.empty() ? "." : folder;
  for (const AskedRows& asked : prepared.asked) {
    const std::string model = fmt::format("--model MODEL --adapter adapter --data {}", in_folder(asked.rows));
    if (scoring.answer == Answer::loss) {
      commands.push_back("lowrank evaluate " + model);
      continue;
    }
    const std::string answers = asked.name + "_answers.jsonl";
    commands.push_back(scoring.answer == Answer::text
                           ? fmt::format("lowrank generate {}{} --output {}", model,
                                         generation_flags(scoring.generation), answers)
                           : fmt::format("lowrank classify {} --output {}", model, answers));
    commands.push_back(fmt::format("lowrank score --predictions {} --benchmark {}", answers, score_with));
  }
  return commands;
}

Json write_description(const BenchmarkInfo& info, const Json& options, const PreparedBenchmark& prepared,
                       const std::filesystem::path& folder) {
  const BenchmarkScoring scoring = info.scoring(options);
  Json asked = Json::array();
  for (const AskedRows& part : prepared.asked) {
    Json entry = file_entry(part.rows);
    int64_t references = 0;
    for (const auto& of_row : part.references) references += std::ssize(of_row);
    entry["references"] = references;
    entry["name"] = part.name;
    asked.push_back(std::move(entry));
  }
  Json description{{"benchmark", info.name},
                   {"description", info.description},
                   {"options", options.is_null() ? Json::object() : options},
                   {"train", file_entry(prepared.train)},
                   {"validation", file_entry(prepared.validation)},
                   {"asked", asked},
                   {"answer", name_of(scoring.answer)},
                   {"metrics", scoring.metrics},
                   {"generation", chosen_generation(scoring.generation)},
                   {"commands", commands_by_hand(prepared, scoring, "")}};
  write_file_atomically(folder / file_name, json_text(description, 2) + "\n");
  return description;
}

bool is_prepared(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / file_name);
}

DescribedBenchmark read_description(const std::filesystem::path& folder) {
  constexpr int64_t most_bytes = 1 << 20;
  const std::filesystem::path path = folder / file_name;
  const nlohmann::json read = read_json_file(path, most_bytes);
  const bool fits = read.is_object() && read.contains("benchmark") && read["benchmark"].is_string() &&
                    read.contains("options") && read["options"].is_object();
  check(fits, ErrorKind::corrupt, "{}: expected \"benchmark\" and \"options\" of `lowrank benchmark`",
        path.string());
  return {read["benchmark"].get<std::string>(), read["options"]};
}

}  // namespace lowrank
