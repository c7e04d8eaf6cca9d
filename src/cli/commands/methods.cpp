// lowrank methods: lists the training methods.
#include <iostream>

#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/registry.h"
#include "peft/core/registry.h"

namespace lowrank {
namespace {

int run(Arguments& arguments) {
  std::string name;
  bool json = false;
  arguments.set_example("lowrank methods lora");
  arguments.add({field("name", name, "only this method"), field("json", json, "as JSON on standard output")});
  arguments.add_positional("name");
  if (!arguments.parse()) return 0;
  const MethodInfo* only = name.empty() ? nullptr : &method_named(name);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const MethodInfo* info : methods()) {
    if (only && info != only) continue;
    const std::unique_ptr<Method> method = info->make();
    nlohmann::ordered_json entry = {{"name", info->name},
                                    {"summary", info->summary},
                                    {"paper", info->paper},
                                    {"default_lr", info->default_learning_rate},
                                    {"options", nlohmann::json::array()}};
    if (!json)
      std::cout << fmt::format("{}: {}\n  {}; default --lr {}\n", info->name, info->summary, info->paper,
                               info->default_learning_rate);
    for (const Field& field : method->fields()) {
      entry["options"].push_back({{"name", field.name}, {"default", field.get()}, {"help", field.help}});
      if (!json)
        std::cout << fmt::format("  {:<24} {} [{}]\n", flag_name(field.name), field.help, field.get().dump());
    }
    list.push_back(std::move(entry));
  }
  if (json) std::cout << list.dump(2) << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo methods_command;
const CommandInfo methods_command{"methods", "lists the methods and their options", run};

}  // namespace lowrank
