#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "cli/adapter_actions/adapter_actions.h"
#include "cli/reported.h"
#include "session/adapters/adapter_list.h"
#include "session/places.h"

namespace lowrank {

int list_adapters_action(Arguments& arguments) {
  std::vector<std::string> folders;
  std::string model;
  bool json = false;
  arguments.set_example("lowrank adapters list adapters/");
  arguments.add({repeatable(field("folders", folders,
                                  "adapters, or folders that hold adapters; several may be given as words")),
                 field("json", json, "the list as JSON on standard output")});
  Field base = model_field(model);
  base.help = "the base, for the norms of updates other than s B A: " + base.help;
  arguments.add({std::move(base)});
  arguments.add_positional("folders");
  if (!arguments.parse()) return 0;
  check_usage(!folders.empty(), "missing a folder of adapters; --help tells what the command takes");
  if (!model.empty()) check_model_place(model);
  const std::vector<ListedAdapter> adapters = list_adapters(folders, model);
  if (adapters.empty()) info("no adapters there");
  std::cout << (json ? json_text(json_of(adapters), 2) + "\n" : table_of(adapters));
  return 0;
}

}  // namespace lowrank
