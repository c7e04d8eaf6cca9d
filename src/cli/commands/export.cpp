// lowrank export: writes an adapter in another program's format.
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "cli/arguments.h"
#include "cli/registry.h"
#include "peft/files/adapter_labels.h"
#include "session/adapters/export_lora.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {
namespace {

struct Options {
  std::string model, adapter, output, format = "gguf-lora";
  bool check = true;
  bool json = false;
};

/// Writes a PEFT folder.
ExportedLora write_folder(const Options& options) {
  const auto checkpoint = open_told(options.model, read_adapter_labels(options.adapter));
  const Adapter adapter = load_told_adapter(options.adapter, *checkpoint);
  check(adapter.method->form().names().library == "peft", ErrorKind::unsupported, "{}: PEFT has no {}",
        options.adapter, adapter.info->name);
  StagedFolder folder(options.output);
  write_adapter(folder.path(), adapter, options.model);
  throw_if_interrupted();
  folder.commit();
  return {std::ssize(adapter.plan.targets), adapter_file_size(options.output, adapter)};
}

int run(Arguments& arguments) {
  Options options;
  arguments.set_example(
      "lowrank export --model model.gguf --adapter adapter --format gguf-lora --output adapter.gguf");
  arguments.add({model_field(options.model), field("adapter", options.adapter, adapter_help),
                 one_of(field("format", options.format,
                              "gguf-lora: a file for llama.cpp and Ollama, beside the base; peft: a folder"),
                        {"gguf-lora", "peft"}),
                 field("output", options.output, "the file or folder; it must not exist"),
                 field("check", options.check,
                       "with gguf-lora: read the file back and compare its logits with the adapter's"),
                 field("json", options.json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--adapter", &options.adapter}, {"--output", &options.output}});
  options.output = without_slash(options.output).string();
  const bool writes_file = options.format == "gguf-lora";
  check(writes_file ? !std::filesystem::exists(std::filesystem::symlink_status(options.output))
                    : is_free(options.output),
        ErrorKind::invalid,
        "{}: exists already; exporting writes a new file or folder; give another `output`", options.output);
  const ExportedLora result =
      writes_file ? export_gguf_lora(options.model, options.adapter, options.output, options.check)
                  : write_folder(options);
  info("{}: {} of {} modules, {} bytes", options.output, options.format, result.modules, result.bytes);
  nlohmann::ordered_json out = {{"modules", result.modules}, {"bytes", result.bytes}};
  if (result.difference) {
    info("largest logit difference against the adapter (f32): {:.2e}; the adapter changes logits by {:.2e}",
         result.difference->largest, result.effect->largest);
    out["largest_logit_difference"] = result.difference->largest;
    out["largest_logit_change"] = result.effect->largest;
  }
  if (options.json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo export_command;
const CommandInfo export_command{
    "export", "writes an adapter as a GGUF LoRA for llama.cpp and Ollama, or as a PEFT folder", run};

}  // namespace lowrank
