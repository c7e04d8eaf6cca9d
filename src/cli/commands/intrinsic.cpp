// lowrank intrinsic: how many dimensions a task needs, of the weights or of the model's features.
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/starting_adapter.h"
#include "study/input_dimension.h"
#include "study/weight_dimension.h"

namespace lowrank {
namespace {

int run(Arguments& arguments) {
  DimensionQuestion question;
  WeightDimensionOptions weights;
  InputDimensionOptions inputs;
  ChosenMethod chosen;
  std::string project = "weights";
  bool json = false;
  arguments.set_example(
      "lowrank intrinsic --model model.gguf --data rows.jsonl --eval-split 0.2 --output dimension");
  arguments.add(question.session.fields());
  arguments.add(question.rows.fields("rows on which quality is measured"));
  arguments.add(question.fields());
  arguments.add(
      {one_of(field("project", project,
                    "what is restricted to a random subspace: the weights that train, or the inputs "
                    "of a linear head on frozen features"),
              {"weights", "inputs"}),
       field("json", json, "also print the report as JSON to standard output")});
  std::string method;
  arguments.add_later(
      "method",
      [&](const std::string& name) {
        method = name;
        return std::vector<Field>();
      },
      all_method_options());
  arguments.add_later("project", [&](const std::string& name) {
    if (name == "inputs") return inputs.fields();
    chosen = choose_method(method.empty() ? weights.method : method);
    std::vector<Field> fields = weights.fields();
    for (Field& option : subspace_fields(chosen)) fields.push_back(std::move(option));
    return fields;
  });
  if (!arguments.parse()) return 0;
  const std::string data = question.rows.data.empty() ? "" : question.rows.data.front();
  require({{"--model", &question.session.model}, {"--data", &data}, {"--output", &question.output}});
  check(!question.rows.eval_data.empty() || question.rows.eval_split > 0, ErrorKind::invalid,
        "quality is measured on rows that are not trained on: give --eval-data or --eval-split");
  const nlohmann::ordered_json settings = resolved(arguments.fields());
  const DimensionReport report = project == "inputs" ? input_dimension(question, inputs, settings)
                                                     : weight_dimension(question, weights, chosen, settings);
  std::cerr << '\n' << markdown_of(report);
  info("{}: intrinsic.json, intrinsic.md, intrinsic.svg", question.output);
  if (json) std::cout << json_text(json_of(report), 2) << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo intrinsic_command;
const CommandInfo intrinsic_command{
    "intrinsic", "finds how many dimensions of the weights or of the model's features a task needs", run};

}  // namespace lowrank
