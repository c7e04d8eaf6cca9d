// lowrank benchmark: the published files of a benchmark as rows to train on and to ask.
#include "study/benchmark/benchmark.h"

#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "base/one_line.h"
#include "base/staged_folder.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "study/benchmark/description.h"

namespace lowrank {
namespace {

struct Options {
  std::string source, output;
  bool json = false;
};

/// The entry's options that were given.
nlohmann::ordered_json given_options(const Arguments& arguments, const BenchmarkOptions& own) {
  nlohmann::ordered_json given = nlohmann::ordered_json::object();
  for (const Field& field : own.fields) {
    if (arguments.given().contains(field.name)) given[field.name] = field.get();
  }
  return given;
}

void tell(const PreparedBenchmark& prepared, const BenchmarkScoring& scoring, const std::string& output) {
  for (const AskedRows& asked : prepared.asked) {
    int64_t references = 0;
    for (const auto& of_row : asked.references) references += std::ssize(of_row);
    info("{}: {}, {}", asked.name, counted(std::ssize(asked.references), "row"),
         counted(references, "reference"));
  }
  info("{} is prepared; by hand:", output);
  for (const std::string& command : commands_by_hand(prepared, scoring, output)) info("  {}", command);
}

int run(Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const BenchmarkInfo& info : all_benchmarks())
    names.emplace_back(std::string(info.name), std::string(info.description));
  const std::optional<std::string> name = arguments.enter(names, true);
  if (!name) return 0;
  const BenchmarkInfo& info = benchmark_of_name(*name);
  Options options;
  arguments.set_example("lowrank benchmark e2e --source LoRA/examples/NLG/data/e2e --output e2e");
  arguments.add(
      {field("source", options.source, "the folder with the published files"),
       field("output", options.output,
             "the folder that is written: train.jsonl, validation.jsonl, the rows that are asked, and "
             "benchmark.json, which describes them"),
       field("json", options.json, "the description as JSON on standard output")});
  const BenchmarkOptions own = info.options();
  arguments.add(own.fields, "Options of " + *name);
  if (!arguments.parse()) return 0;
  require({{"--source", &options.source}, {"--output", &options.output}});
  const nlohmann::ordered_json chosen = given_options(arguments, own);
  const BenchmarkScoring scoring = info.scoring(chosen);
  StagedFolder folder(options.output);
  const PreparedBenchmark prepared = info.prepare(options.source, folder.path(), chosen);
  const nlohmann::ordered_json description = write_description(info, chosen, prepared, folder.path());
  folder.commit();
  tell(prepared, scoring, options.output);
  if (options.json) std::cout << json_text(description, 2) << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo benchmark_command;
const CommandInfo benchmark_command{
    "benchmark", "prepares the published files of E2E, WebNLG, DART, GLUE, GSM8K or your own rows", run};

}  // namespace lowrank
