// lowrank serve: answers OpenAI's API over HTTP, with any number of adapters on one base.
#include "cli/arguments.h"
#include "cli/registry.h"
#include "serve/run_server.h"

namespace lowrank {
namespace {

int run(Arguments& arguments) {
  serve::ServeOptions options;
  arguments.set_example("lowrank serve --model model.gguf --adapters adapters");
  for (auto& [group, fields] : options.groups()) arguments.add(std::move(fields), group);
  if (!arguments.parse()) return 0;
  require({{"--model", &options.session.model}});
  serve::run_server(options);
  return 0;
}

}  // namespace

extern const CommandInfo serve_command;
const CommandInfo serve_command{"serve", "serves a model and its adapters over HTTP, as OpenAI's API does",
                                run};

}  // namespace lowrank
