#include "session/adapters/convert_adapter.h"

#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "cli/adapter_actions/adapter_actions.h"
#include "cli/adapter_actions/fit_report.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {
namespace {

void report(const ConvertedAdapter& converted, const std::string& output) {
  info("{}: written as a LoRA, from an adapter of method {}: {}", output, converted.method,
       text_of(converted.modules));
  if (!converted.whole.empty()) info("{} tensors are stored in full, as before", converted.whole.size());
  info("{} bytes, where the adapter had {}", converted.bytes, converted.bytes_before);
  if (!converted.difference) return;
  info("largest logit difference against the adapter (f32): {:.2e}, root mean square {:.2e}{}",
       converted.difference->largest, converted.difference->distance,
       converted.effect
           ? fmt::format("; the adapter changes the base's logits by {:.2e}", converted.effect->distance)
           : "");
}

}  // namespace

int convert_adapter_action(Arguments& arguments) {
  ConvertAdapterOptions options;
  bool json = false;
  arguments.set_example("lowrank adapters convert adapter --model model --energy 0.99 --output lora");
  arguments.add({model_field(options.model), field("adapter", options.adapter, adapter_help),
                 field("output", options.output.path, "folder, or FILE.gguf; it must not exist")});
  arguments.add(options.output.fields());
  arguments.add({field("json", json, "the result as JSON on standard output")});
  arguments.add_positional("adapter");
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--adapter", &options.adapter}, {"--output", &options.output.path}});
  const ConvertedAdapter converted = convert_adapter(options);
  report(converted, options.output.path);
  if (!json) return 0;
  nlohmann::ordered_json out = json_of(converted.modules);
  out["method"] = converted.method;
  out["stored_in_full"] = converted.whole;
  out["bytes"] = converted.bytes;
  if (converted.difference) {
    out["largest_logit_difference"] = converted.difference->largest;
    out["logit_distance"] = converted.difference->distance;
  }
  if (converted.effect) out["base_logit_distance"] = converted.effect->distance;
  std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace lowrank
