#include "peft/merge.h"

#include <cmath>
#include <functional>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/half.h"
#include "formats/block_formats.h"
#include "formats/safetensors_writer.h"
#include "peft/merge_plan.h"
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

void append_as(SafetensorsWriter& writer, const at::Tensor& values, DType type) {
  const std::span<const float> from(values.const_data_ptr<float>(), static_cast<size_t>(values.numel()));
  if (type == DType::f32) return writer.append(std::as_bytes(from));
  if (type == DType::bf16) {
    std::vector<uint16_t> bits(from.size());
    for (size_t i = 0; i < from.size(); ++i) bits[i] = bf16_from_float(from[i]);
    return writer.append(std::as_bytes(std::span(bits)));
  }
  check(type == DType::f16, ErrorKind::unsupported, "merged tensors are written as F32, BF16 or F16, not {}",
        info_of(type).name);
  const at::Tensor half = values.to(at::kHalf);
  writer.append({static_cast<const std::byte*>(half.const_data_ptr()), from.size() * 2});
}

void write_tensors(const Checkpoint& base, const Method& method, const MergePlan& plan,
                   std::optional<DType> type, const std::filesystem::path& path) {
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
      writer.append(stored->bytes);
    } else {
      append_as(writer, in_folder_layout(merged_values(base, method, output), *output.source),
                declared[i].dtype);
    }
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

MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output) {
  const at::NoGradGuard no_grad;
  check(!std::filesystem::exists(output) || std::filesystem::is_empty(output), ErrorKind::invalid,
        "{}: exists already; merging writes a new folder", output.string());
  const MergePlan plan = merge_plan(base, *adapter.method);
  MergeResult result{plan.changed, std::ssize(plan.outputs), plan.untied, 0, 0};
  const std::filesystem::path partial = output.string() + ".partial";
  std::filesystem::remove_all(partial);
  try {
    std::filesystem::create_directories(partial);
    write_tensors(base, *adapter.method, plan, type, partial / "model.safetensors");
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
