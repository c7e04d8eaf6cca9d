// lowrank convert: writes a Hugging Face folder as a GGUF file for llama.cpp and Ollama.
#include <iostream>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "session/convert_model.h"
#include "session/places.h"

namespace lowrank {
namespace {

void report(const ConvertResult& result, const ConvertOptions& options) {
  std::string types;
  for (const auto& [name, count] : result.types)
    types += fmt::format("{}{} {}", types.empty() ? "" : ", ", count, name);
  info("{}: {} tensors ({}), {} bytes", options.output, result.tensors, types, result.bytes);
  for (const std::string& note : result.notes) warn("{}: {}", options.output, note);
  if (result.difference)
    info("its logits differ from the folder's by {:.2g} of their size (largest difference {:.2g})",
         result.difference->share(), result.difference->largest);
}

int run(Arguments& arguments) {
  ConvertOptions options;
  bool json = false;
  arguments.set_example("lowrank convert merged --type q8_0 --output merged.gguf");
  arguments.add({model_field(options.model)});
  arguments.add(options.fields());
  arguments.add({field("json", json, "the result as JSON on standard output")});
  arguments.add_positional("model");
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--output", &options.output}});
  const ConvertResult result = convert_model(options);
  report(result, options);
  nlohmann::ordered_json out = {
      {"tensors", result.tensors}, {"bytes", result.bytes}, {"types", result.types}, {"notes", result.notes}};
  if (result.difference) {
    out["largest_logit_difference"] = result.difference->largest;
    out["logit_difference_share"] = result.difference->share();
  }
  if (json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo convert_command;
const CommandInfo convert_command{
    "convert", "writes a Hugging Face folder as a GGUF file, quantised or not, for llama.cpp and Ollama",
    run};

}  // namespace lowrank
