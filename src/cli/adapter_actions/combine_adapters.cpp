#include "session/adapters/combine_adapters.h"

#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "cli/adapter_actions/adapter_actions.h"
#include "cli/reported.h"
#include "session/places.h"

namespace lowrank {

int combine_adapters_action(Arguments& arguments) {
  CombineOptions options;
  bool json = false;
  arguments.set_example(
      "lowrank adapters combine --adapter news=adapters/news --adapter law=adapters/law --weights 0.7,0.3 "
      "--output both");
  Field model = model_field(options.model);
  model.help = "the base, for adapters that are no LORA folders of PEFT: " + model.help;
  arguments.add({repeatable(field("adapter", options.adapters, "NAME=PATH of an adapter, once for each")),
                 std::move(model),
                 field("output", options.output, "the new adapter's folder; it must not exist"),
                 field("json", json, "the result as JSON on standard output")});
  arguments.add(options.combination.fields(), "How they are combined");
  if (!arguments.parse()) return 0;
  require({{"--output", &options.output}});
  check_usage(!options.adapters.empty(), "missing --adapter; --help tells what the command takes");
  check_usage(!options.combination.weights.empty(), "missing --weights: one number for each adapter");
  if (!options.model.empty()) check_model_place(options.model);
  options.output = without_slash(options.output).string();
  const CombineResult result = combine_adapters(options);
  for (const std::string& note : result.notes) warn("{}", note);
  info("{}: {} modules of rank {}, norm {:.4g}, {} bytes", options.output, result.modules, result.rank,
       result.norm, result.bytes);
  const nlohmann::ordered_json out = {
      {"modules", result.modules}, {"rank", result.rank}, {"norm", result.norm}, {"bytes", result.bytes}};
  if (json) std::cout << json_text(out) << '\n';
  return 0;
}

}  // namespace lowrank
