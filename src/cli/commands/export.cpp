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
#include "peft/files/gguf_lora.h"
#include "session/places.h"
#include "session/session.h"

namespace lowrank {
namespace {

struct Options {
  std::string model, adapter, output, format = "gguf-lora";
  bool json = false;
};

struct ExportResult {
  int64_t modules = 0;
  int64_t bytes = 0;
};

ExportResult write(const Options& options, const Checkpoint& checkpoint, const Adapter& adapter) {
  if (options.format == "gguf-lora") {
    const GgufLoraResult result = write_gguf_lora(checkpoint, adapter, options.output, Existing::kept);
    return {result.modules, result.bytes};
  }
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
                 field("json", options.json, "the result as JSON on standard output")});
  if (!arguments.parse()) return 0;
  require({{"--model", &options.model}, {"--adapter", &options.adapter}, {"--output", &options.output}});
  options.output = without_slash(options.output).string();
  const bool writes_file = options.format == "gguf-lora";
  check(writes_file ? !std::filesystem::exists(std::filesystem::symlink_status(options.output))
                    : is_free(options.output),
        ErrorKind::invalid,
        "{}: exists already; exporting writes a new file or folder; give another `output`", options.output);
  const auto checkpoint = open_told(options.model, read_adapter_labels(options.adapter));
  const Adapter adapter = load_told_adapter(options.adapter, *checkpoint);
  const ExportResult result = write(options, *checkpoint, adapter);
  info("{}: {} of {} modules, {} bytes", options.output, options.format, result.modules, result.bytes);
  const nlohmann::ordered_json out = {{"modules", result.modules}, {"bytes", result.bytes}};
  if (options.json) std::cout << out.dump() << '\n';
  return 0;
}

}  // namespace

extern const CommandInfo export_command;
const CommandInfo export_command{
    "export", "writes an adapter as a GGUF LoRA for llama.cpp and Ollama, or as a PEFT folder", run};

}  // namespace lowrank
