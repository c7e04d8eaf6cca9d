#include "session/adapters/convert_adapter.h"

#include <filesystem>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/staged_folder.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/adapter_labels.h"
#include "peft/files/gguf_lora.h"
#include "peft/files/side_by_side.h"
#include "session/places.h"
#include "session/session.h"
#include "train/run_results.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* chat_template_name = "chat_template.jinja";

/// The bytes of the tensors in an adapter's folder, without checkpoints and others' files, or in its file.
int64_t tensor_bytes(const fs::path& path) {
  if (!fs::is_directory(path)) return static_cast<int64_t>(fs::file_size(path));
  const fs::path place = adapter_place(path);
  int64_t bytes = 0;
  for (const fs::path& name : adapter_files(place)) {
    if (name.extension() == ".safetensors") bytes += static_cast<int64_t>(fs::file_size(place / name));
  }
  return bytes;
}

/// Puts the template with which an adapter was trained, if it has one, beside the converted one.
void copy_chat_template(const fs::path& adapter, const fs::path& folder) {
  const fs::path source = adapter / chat_template_name;
  std::error_code failed;
  if (!fs::is_directory(adapter, failed) || !fs::exists(source, failed)) return;
  fs::copy_file(source, folder / chat_template_name, failed);
  check(!failed, ErrorKind::io, "{}: cannot be copied: {}", source.string(), failed.message());
}

}  // namespace

std::vector<Field> LowRankOutput::fields() {
  return {limited(field("rank", rank, "rank of each module's update; with `energy` the highest rank"), 1,
                  1 << 20),
          limited(field("energy", energy,
                        "the smallest rank of each module that holds this share of the squared values of its "
                        "change"),
                  1e-6, 1),
          one_of(field("format", format,
                       "peft: a folder; gguf: a GGUF LoRA for llama.cpp; auto: gguf for FILE.gguf"),
                 {"auto", "peft", "gguf"}),
          field("check", check, "compare the logits")};
}

bool LowRankOutput::writes_file() const {
  return format == "gguf" || (format == "auto" && path.ends_with(".gguf"));
}

void check_output(const LowRankOutput& output) {
  check(output.writes_file() == output.path.ends_with(".gguf"), ErrorKind::invalid,
        "`output` {}: the format {} is written to a {}", output.path, output.format,
        output.writes_file() ? "file whose name ends in .gguf" : "folder");
  check(output.writes_file() ? !fs::exists(fs::symlink_status(output.path)) : is_free(output.path),
        ErrorKind::invalid,
        "{}: exists already; a new adapter is written to a new place; give another `output`", output.path);
}

int64_t write_low_rank(const LowRankOutput& output, const Checkpoint& base, const Adapter& adapter,
                       const std::string& model, const std::string& converted) {
  if (output.writes_file()) return write_gguf_lora(base, adapter, output.path, Existing::kept).bytes;
  StagedFolder folder(output.path);
  write_adapter(folder.path(), adapter, model);
  if (!converted.empty()) copy_chat_template(converted, folder.path());
  throw_if_interrupted();
  folder.commit();
  return adapter_file_size(output.path, adapter);
}

ConvertedAdapter convert_adapter(const ConvertAdapterOptions& options) {
  check_model_place(options.model);
  check_adapter_place(options.adapter);
  LowRankOutput output = options.output;
  output.path = without_slash(output.path).string();
  check_output(output);
  const auto checkpoint = open_told(options.model, read_adapter_labels(options.adapter));
  const Adapter adapter = load_told_adapter(options.adapter, *checkpoint);
  ConvertedAdapter result{.method = std::string(adapter.info->name)};
  LowRankConversion conversion;
  {
    std::optional<Progress> line;
    const auto show = [&](int64_t done, int64_t total) {
      if (!line) line.emplace("module", total);
      line->update(done, {});
    };
    conversion = convert_to_low_rank(*checkpoint, adapter, output.choice(), show);
  }
  result.bytes = write_low_rank(output, *checkpoint, conversion.adapter, options.model, options.adapter);
  result.bytes_before = tensor_bytes(options.adapter);
  result.modules = std::move(conversion.modules);
  result.whole = std::move(conversion.whole);
  if (!output.check) return result;
  result.difference = compare_adapted({options.model, options.adapter}, {options.model, output.path});
  // A head of its own makes the base's outputs incomparable.
  if (!checkpoint->spec().labels)
    result.effect = compare_adapted({options.model, options.adapter}, {options.model, ""});
  return result;
}

}  // namespace lowrank
