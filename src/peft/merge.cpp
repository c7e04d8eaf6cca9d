#include "peft/merge.h"

#include <ATen/core/grad_mode.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/block_formats.h"
#include "formats/safetensors_writer.h"
#include "peft/merge_plan.h"
#include "peft/merge_rounding.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"

namespace lowrank {
namespace {

bool is_block_format(DType type) {
  return info_of(type).block > 1;
}

DType output_type(DType stored, std::optional<DType> wanted) {
  if (wanted) return *wanted;
  // bitsandbytes' 4-bit values stand in bytes.
  return is_block_format(stored) || stored == DType::u8 ? DType::f32 : stored;
}

void check_folder_type(DType type) {
  check(type == DType::f32 || type == DType::bf16 || type == DType::f16, ErrorKind::unsupported,
        "merged tensors are written as F32, BF16 or F16, not {}", info_of(type).name);
}

/// Writes model.safetensors and counts in `result` what becomes of the changed tensors.
void write_tensors(const Checkpoint& base, const Method& method, const MergePlan& plan,
                   std::optional<DType> type, const std::filesystem::path& path, MergeResult& result) {
  std::vector<StoredTensor> declared;
  for (const MergeOutput& output : plan.outputs) {
    const StoredTensor* stored = base.find(*output.source);
    declared.push_back({output.tensor->name,
                        output_type(stored ? stored->dtype : DType::f32, type),
                        folder_shape(*output.source),
                        {}});
  }
  SafetensorsWriter writer(path, declared);
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const MergeOutput& output = plan.outputs[i];
    const StoredTensor* stored = base.find(*output.source);
    const bool stored_otherwise = base.gguf() && (output.source->gguf_differs() || output.source->transposed);
    if (!output.changed && stored->dtype == declared[i].dtype && !stored_otherwise) {
      check_finite(*stored);
      writer.append(stored->bytes);
      continue;
    }
    check_folder_type(declared[i].dtype);
    ChangedTensor values = merged_values(base, method, output);
    values.merged = in_folder_layout(values.merged, *output.source);
    const std::vector<std::byte> bytes = rounded(declared[i].name, declared[i].dtype, values.merged);
    writer.append(bytes);
    if (!output.changed) continue;
    values.base = in_folder_layout(values.base, *output.source);
    result.count(declared[i].dtype, values, bytes);
  }
  writer.commit();
}

void write_description(const Checkpoint& base, bool untied, const std::filesystem::path& folder) {
  nlohmann::json config = base.spec().config;
  if (untied) config["tie_word_embeddings"] = false;
  config.erase("quantization_config");
  if (!base.gguf()) {
    for (const auto& entry : std::filesystem::directory_iterator(base.path())) {
      const std::string name = entry.path().filename().string();
      // Sentence-transformers keep the configuration of each of their modules in a folder.
      if (entry.is_directory() && std::filesystem::exists(entry.path() / "config.json")) {
        std::filesystem::create_directory(folder / name);
        std::filesystem::copy_file(entry.path() / "config.json", folder / name / "config.json");
      }
      const bool describes = name.ends_with(".json") || name.ends_with(".txt") || name.ends_with(".jinja") ||
                             name.ends_with(".model");
      if (!entry.is_regular_file() || !describes || name == "config.json" || name.ends_with(".index.json"))
        continue;
      std::filesystem::copy_file(entry.path(), folder / name);
    }
  } else {
    const TokenizerSpec spec = tokenizer_spec_from_gguf(*base.gguf());
    write_file_atomically(folder / "tokenizer.json", tokenizer_json(spec).dump() + "\n");
    write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(spec).dump(2) + "\n");
    nlohmann::json generation = nlohmann::json::object();
    if (spec.bos) config["bos_token_id"] = generation["bos_token_id"] = *spec.bos;
    if (spec.eos) config["eos_token_id"] = *spec.eos;
    generation["eos_token_id"] = spec.end_tokens;
    write_file_atomically(folder / "generation_config.json", generation.dump(2) + "\n");
  }
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
}

}  // namespace

void MergeResult::count(DType type, const ChangedTensor& values, std::span<const std::byte> bytes) {
  ++types[std::string(info_of(type).name)];
  requantised += info_of(type).block > 1;
  add_kept(kept, values, type, bytes);
}

MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output) {
  const at::NoGradGuard no_grad;
  check(!std::filesystem::exists(output) || std::filesystem::is_empty(output), ErrorKind::invalid,
        "{}: exists already; merging writes a new folder", output.string());
  const MergePlan plan = merge_plan(base, *adapter.method);
  MergeResult result{.changed = plan.changed, .tensors = std::ssize(plan.outputs), .untied = plan.untied};
  const std::filesystem::path partial = output.string() + ".partial";
  std::filesystem::remove_all(partial);
  try {
    std::filesystem::create_directories(partial);
    write_tensors(base, *adapter.method, plan, type, partial / "model.safetensors", result);
    write_description(base, result.untied, partial);
    result.bytes = static_cast<int64_t>(std::filesystem::file_size(partial / "model.safetensors"));
    std::filesystem::remove(output);
    std::filesystem::rename(partial, output);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(partial, ignored);
    throw;
  }
  return result;
}

}  // namespace lowrank
