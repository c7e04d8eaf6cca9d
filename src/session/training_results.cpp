#include "session/training_results.h"

#include <algorithm>
#include <optional>

#include <fmt/ranges.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/staged_folder.h"
#include "peft/files/gguf_lora.h"
#include "peft/merge/merge.h"
#include "peft/merge/model_description.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* chat_template_name = "chat_template.jinja";

void write_gguf_model(const Checkpoint& checkpoint, const Adapter& adapter, const fs::path& path) {
  // Updates of fully trained weights are often smaller than the steps of a block format.
  const bool whole = adapter.method->form().output() != Output::adapter;
  const MergeResult result =
      merge_to_gguf(checkpoint, adapter, whole ? std::optional(DType::f16) : std::nullopt, path, enough_kept,
                    Existing::replaced);
  info("{}: merged model of {} bytes{}", path.string(), result.bytes,
       whole ? ", trained matrices in F16" : "");
}

/// Writes the merged model's files to a folder that may hold other files.
void write_model_folder(const Checkpoint& checkpoint, const Adapter& adapter, const fs::path& output,
                        const fs::path& folder) {
  const ScratchFolder scratch(output / "model");
  const fs::path fresh = scratch.path() / "new";
  const MergeResult result = merge_to_folder(checkpoint, adapter, std::nullopt, fresh);
  move_files(fresh, folder);
  info("{}: model of {} bytes", folder.string(), result.bytes);
  report_left_out(result, checkpoint.path());
}

}  // namespace

void write_chat_template(const fs::path& output, const std::string& source) {
  AtomicFile file(output / chat_template_name, Existing::replaced);
  file.write(source);
  file.commit();
}

void report_left_out(const MergeResult& result, const fs::path& model) {
  if (result.left_out.empty()) return;
  warn("{}: not copied, since they are links out of the model's folder or larger than 64 MB: {}",
       model.string(), fmt::join(result.left_out, ", "));
}

Kept written_at_the_end(const Adapter& adapter, const std::string& exported, bool conversations) {
  const Output kind = adapter.method->form().output();
  return [kind, exported, conversations](const fs::path& name) {
    if (name == "README.md" || (conversations && name == chat_template_name)) return true;
    if (name == "adapter.gguf") return exported == "gguf-lora";
    if (name == "model.gguf") return exported == "gguf";
    if (*name.begin() == "merged") return kind == Output::adapter_and_model && exported != "gguf";
    return is_model_file(name) && kind == Output::model && exported != "gguf";
  };
}

void check_export(const std::string& exported, const std::string& model, const ModelSpec& spec,
                  const Adapter& adapter) {
  if (exported == "gguf-lora") check_gguf_lora(spec, *adapter.method, "`export` gguf-lora");
  if (exported != "gguf") return;
  check(std::filesystem::is_regular_file(model), ErrorKind::unsupported,
        "`export` gguf: a GGUF file is written from a GGUF base only");
  check(std::ranges::any_of(spec.tensors,
                            [&](const TensorRef& tensor) { return adapter.method->merges(tensor); }),
        ErrorKind::unsupported, "`export` gguf: {} changes no weight, so it cannot be merged",
        adapter.info->name);
}

void check_results(const Checkpoint& checkpoint, const Adapter& adapter, const std::string& exported) {
  if (adapter.method->form().output() == Output::adapter || exported == "gguf") return;
  check_describable(checkpoint, fmt::format("`method` {}", adapter.info->name));
}

void write_results(const fs::path& output, const Checkpoint& checkpoint, const Adapter& trained,
                   const std::string& exported, bool best_chosen) {
  const Output kind = trained.method->form().output();
  if (exported == "none" && kind == Output::adapter) return;
  const std::optional<Adapter> best = best_chosen || !trained.parameters->options().device().is_cpu()
                                          ? std::optional(load_adapter(output, checkpoint))
                                          : std::nullopt;
  const Adapter& adapter = best ? *best : trained;
  if (exported == "gguf-lora") {
    const GgufLoraResult result = write_gguf_lora(checkpoint, adapter, output / "adapter.gguf");
    info("{}: GGUF LoRA of {} bytes", (output / "adapter.gguf").string(), result.bytes);
  }
  if (exported == "gguf") {
    write_gguf_model(checkpoint, adapter, output / "model.gguf");
  } else if (kind != Output::adapter) {
    write_model_folder(checkpoint, adapter, output, kind == Output::model ? output : output / "merged");
  }
  if (kind != Output::model) return;
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) fs::remove(output / name);
}

}  // namespace lowrank
