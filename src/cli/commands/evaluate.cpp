// lowrank evaluate: loss and perplexity on a data set, with or without an adapter.
#include <iostream>

#include <fmt/format.h>

#include "base/one_line.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/evaluate_rows.h"
#include "session/session.h"

namespace lowrank {
namespace {

int run(Arguments& arguments) {
  SessionOptions session_options;
  EvaluateOptions options;
  std::vector<std::string> adapters;
  bool json = false;
  arguments.set_example("lowrank evaluate --model model.gguf --adapter adapter --data heldout.jsonl");
  arguments.add(session_options.fields());
  arguments.add({repeatable(field("adapter", adapters, adapters_help))});
  arguments.add(options.fields());
  arguments.add({field("json", json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  require({{"--model", &session_options.model}, {"--data", &options.data}});
  const OpenSession session = open_session(session_options, adapters);
  const Evaluation result = evaluate_rows(session.running(), session_options.model, options);
  if (json) {
    nlohmann::ordered_json out = result.figures();
    out["rows"] = result.rows;
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{}, {}\n", result.summary(), counted(std::ssize(result.rows), "example"));
  }
  return 0;
}

}  // namespace

extern const CommandInfo evaluate_command;
const CommandInfo evaluate_command{"evaluate",
                                   "loss and perplexity (for labelled examples accuracy or correlation, for "
                                   "pairs of texts retrieval), with or without an adapter",
                                   run};

}  // namespace lowrank
