// lowrank compare: methods on one task and one base, as a table.
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "cli/yaml.h"
#include "study/compare/comparison.h"
#include "study/compare/comparison_tables.h"

namespace lowrank {
namespace {

struct Options {
  std::string file;
  std::string model, source, general_text, output, device;  ///< in place of the file's
  std::optional<int64_t> threads;
  bool dry_run = false, overwrite = false, json = false;

  std::vector<Field> fields() {
    return {field("file", file, "the comparison: a YAML file"),
            field("dry_run", dry_run,
                  "print all runs and what each trains, then stop; the model's configuration is enough"),
            field("overwrite", overwrite, "drop the runs of an earlier comparison in `output`"),
            field("json", json, "the results as JSON to standard output"),
            field("model", model, "replaces the file's `model`"),
            field("source", source, "replaces the file's `source`"),
            field("general_text", general_text, "replaces the file's `general_text`"),
            field("output", output, "replaces the file's `output`"),
            field("device", device, "replaces the file's `device`"),
            limited(field("threads", threads, "replaces the file's `threads`"), 0, 4096)};
  }
};

nlohmann::json configuration_of(const Options& options) {
  nlohmann::json given = read_yaml(options.file);
  const std::pair<const char*, const std::string*> texts[] = {{"model", &options.model},
                                                              {"source", &options.source},
                                                              {"general_text", &options.general_text},
                                                              {"output", &options.output},
                                                              {"device", &options.device}};
  for (const auto& [name, value] : texts)
    if (!value->empty()) given[name] = *value;
  if (options.threads) given["threads"] = *options.threads;
  return given;
}

int run(Arguments& arguments) {
  Options options;
  arguments.set_example("lowrank compare examples/compare/quick.yaml --model model.gguf");
  arguments.add(options.fields());
  arguments.add_positional("file");
  if (!arguments.parse()) return 0;
  require({{"a comparison (FILE.yaml)", &options.file}});
  std::vector<std::string> problems;
  const ComparisonOptions comparison = read_comparison(configuration_of(options), options.file, problems);
  const ComparisonPlan plan = checked_plan(comparison, std::move(problems));
  if (options.dry_run) {
    std::cerr << markdown_of(plan);
    if (options.json) std::cout << json_text(json_of(plan, comparison), 2) << '\n';
    return 0;
  }
  const ComparisonReport report = compare_methods(comparison, options.overwrite);
  std::cerr << '\n' << markdown_of(report);
  info("{}: results.json, results.md, results.csv, index.html", comparison.output);
  if (options.json) std::cout << json_text(json_of(report), 2) << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo compare_command;
const CommandInfo compare_command{"compare", "compares methods on one task and one base: runs, table, page",
                                  run};

}  // namespace lowrank
