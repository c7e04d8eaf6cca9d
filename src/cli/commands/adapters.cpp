// lowrank adapters: what can be done with adapters alone, without running a model.
#include <algorithm>
#include <optional>
#include <string_view>

#include "cli/adapter_actions/adapter_actions.h"
#include "cli/registry.h"

namespace lowrank {
namespace {

struct Action {
  std::string_view name, summary;
  int (*run)(Arguments& arguments);
};

constexpr Action actions[] = {
    {"list", "what is in folders of adapters: method, rank, base, size, norm", list_adapters_action},
    {"combine", "several adapters with weights as one", combine_adapters_action},
    {"diff", "how two adapters relate: norms, cosines, overlap of their spaces", compare_adapters_action},
    {"convert", "writes an adapter of another method as a LoRA", convert_adapter_action},
    {"extract", "writes the difference of two models as a LoRA", extract_adapter_action}};

int run(Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Action& action : actions) names.emplace_back(action.name, action.summary);
  const std::optional<std::string> name = arguments.enter(names);
  if (!name) return 0;
  return std::ranges::find(actions, *name, &Action::name)->run(arguments);
}

}  // namespace

extern const CommandInfo adapters_command;
const CommandInfo adapters_command{"adapters", "lists, combines, compares and converts adapters", run};

}  // namespace lowrank
