#include "peft/merge.h"

#include <cmath>
#include <functional>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/half.h"
#include "base/interrupt.h"
#include "base/staged_folder.h"
#include "formats/block_formats.h"
#include "formats/safetensors_writer.h"
#include "peft/merge_plan.h"
#include "peft/model_description.h"

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
    throw_if_interrupted();
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

}  // namespace

MergeResult merge_to_folder(const Checkpoint& base, const Adapter& adapter, std::optional<DType> type,
                            const std::filesystem::path& output) {
  const at::NoGradGuard no_grad;
  check(is_free(output), ErrorKind::invalid, "{}: exists already; merging writes a new folder",
        output.string());
  const MergePlan plan = merge_plan(base, *adapter.method);
  MergeResult result{plan.changed, std::ssize(plan.outputs), plan.untied, 0, 0, {}};
  check_describable(base, output.string());
  StagedFolder folder(output);
  result.left_out = write_description(base, result.untied, folder.path());
  write_tensors(base, *adapter.method, plan, type, folder.path() / "model.safetensors");
  base.check_unchanged();
  result.bytes = static_cast<int64_t>(std::filesystem::file_size(folder.path() / "model.safetensors"));
  folder.commit();
  return result;
}

}  // namespace lowrank
