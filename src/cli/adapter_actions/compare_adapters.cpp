#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "cli/adapter_actions/adapter_actions.h"
#include "cli/reported.h"
#include "session/adapters/comparison_report.h"
#include "session/adapters/read_factored.h"
#include "session/places.h"

namespace lowrank {

int compare_adapters_action(Arguments& arguments) {
  std::vector<std::string> adapters;
  std::string model;
  int64_t directions = 0;
  bool json = false;
  arguments.set_example("lowrank adapters diff adapters/news adapters/law");
  Field base = model_field(model);
  base.help = "the base, for adapters that are no LORA folders of PEFT: " + base.help;
  arguments.add({repeatable(field("adapters", adapters, "the two adapters, as words")),
                 limited(field("directions", directions,
                               "how many of the strongest singular directions span the spaces whose overlap "
                               "is measured; 0: all"),
                         0, 1 << 20),
                 std::move(base), field("json", json, "the figures as JSON on standard output")});
  arguments.add_positional("adapters");
  if (!arguments.parse()) return 0;
  check_usage(adapters.size() == 2, "give two adapters: lowrank adapters diff A B");
  if (!model.empty()) check_model_place(model);
  const std::shared_ptr<const Checkpoint> checkpoint = model.empty() ? nullptr : Checkpoint::open(model);
  const FactoredAdapter one = read_factored(adapters[0], checkpoint.get());
  const FactoredAdapter other = read_factored(adapters[1], checkpoint.get());
  for (const FactoredAdapter* adapter : {&one, &other}) {
    const std::string more = told_beside(*adapter);
    if (!more.empty()) warn("{}", more);
  }
  const AdapterComparison comparison = compare(one, other, directions);
  std::cout << (json ? json_text(json_of(comparison), 2) + "\n" : table_of(comparison));
  return 0;
}

}  // namespace lowrank
