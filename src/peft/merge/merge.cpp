#include "peft/merge/merge.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/staged_folder.h"
#include "formats/block_formats.h"
#include "formats/safetensors_writer.h"
#include "model/tensor_form.h"
#include "peft/bank/inference_hooks.h"
#include "peft/merge/merge_plan.h"
#include "peft/merge/merge_rounding.h"
#include "peft/merge/merge_stacks.h"
#include "peft/merge/model_description.h"

namespace lowrank {
namespace {

bool is_block_format(DType type) {
  return info_of(type).block > 1;
}

DType output_type(DType stored, std::optional<DType> wanted) {
  if (wanted) return *wanted;
  // bitsandbytes stores 4-bit values in bytes.
  return is_block_format(stored) || stored == DType::u8 ? DType::f32 : stored;
}

void check_folder_type(DType type) {
  check(type == DType::f32 || type == DType::bf16 || type == DType::f16, ErrorKind::unsupported,
        "merged tensors are written as F32, BF16 or F16, not {}", info_of(type).name);
}

/// Writes model.safetensors and counts the changed tensors in `result`.
void write_tensors(const Checkpoint& base, const Method& method, const MergePlan& plan,
                   const MergedStacks& stacks, std::optional<DType> type, const std::filesystem::path& path,
                   MergeResult& result) {
  std::vector<StoredTensor> declared;
  std::vector<MergeOutput> outputs;
  std::ranges::copy_if(plan.outputs, std::back_inserter(outputs), std::not_fn(is_stacked));
  for (const MergeOutput& output : outputs) {
    const StoredTensor* stored = base.find(*output.source);
    // Multimodal folders name the text part's tensors differently from its modules.
    const bool renamed =
        !base.gguf() && stored && output.tensor == output.source && !base.spec().other_towers.empty();
    declared.push_back({renamed ? stored->name : output.tensor->name,
                        output_type(stored ? stored->dtype : DType::f32, type),
                        folder_shape(*output.source),
                        {}});
  }
  const std::vector<StoredTensor> others = base.other_tensors();
  declared.insert(declared.end(), others.begin(), others.end());
  for (const MergedStack& stack : stacks.stacks) {
    if (!stack.copied) check_folder_type(stack.declared.dtype);
    declared.push_back(stack.declared);
  }
  SafetensorsWriter writer(path, declared);
  for (size_t i = 0; i < outputs.size(); ++i) {
    throw_if_interrupted();
    const MergeOutput& output = outputs[i];
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
  for (const StoredTensor& other : others) writer.append(other.bytes);
  for (const MergedStack& stack : stacks.stacks) append_stack(base, method, stack, writer, result);
  writer.commit();
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
  check(is_free(output), ErrorKind::invalid,
        "{}: exists already; merging writes a new folder; give another `output`", output.string());
  // Compute once what merging needs of the patches several times per module.
  const InferenceHooks ready(adapter);
  const MergePlan plan = merge_plan(base, *adapter.method);
  MergeResult result{.changed = plan.changed, .tensors = std::ssize(plan.outputs), .untied = plan.untied};
  check_describable(base, output.string());
  StagedFolder folder(output);
  const MergedStacks stacks = merged_stacks(base, plan, type);
  result.left_out = write_description(base, result.untied, stacks.quantised, folder.path());
  write_tensors(base, *adapter.method, plan, stacks, type, folder.path() / "model.safetensors", result);
  base.check_unchanged();
  result.bytes = static_cast<int64_t>(std::filesystem::file_size(folder.path() / "model.safetensors"));
  folder.commit();
  return result;
}

}  // namespace lowrank
