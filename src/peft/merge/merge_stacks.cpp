#include "peft/merge/merge_stacks.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "peft/core/stacked_experts.h"

namespace lowrank {
namespace {

/// True if the base stores the part as MXFP4 blocks of a folder.
bool is_mxfp4(const Checkpoint& base, const MergeOutput& output) {
  return base.is_rearranged(*output.source) && base.find(*output.source)->dtype == DType::u8;
}

/// The stored tensor of that name among those that hold rearranged experts.
const StoredTensor* rearranged_stack(const Checkpoint& base, const std::string& name) {
  const std::vector<const StoredTensor*> all = base.rearranged_stacks();
  const auto found =
      std::ranges::find_if(all, [&](const StoredTensor* stack) { return stack->name == name; });
  return found == all.end() ? nullptr : *found;
}

bool is_changed(const MergedStack& stack) {
  return std::ranges::any_of(stack.parts, [](const MergeOutput* part) { return part->changed != nullptr; });
}

/// The type of a stack whose parts are stored like this.
DType type_of(const Checkpoint& base, const MergedStack& stack, std::optional<DType> wanted) {
  if (wanted) return *wanted;
  if (is_mxfp4(base, *stack.parts.front())) return DType::bf16;
  const DType first = base.find(*stack.parts.front()->source)->dtype;
  const bool same = std::ranges::all_of(
      stack.parts, [&](const MergeOutput* part) { return base.find(*part->source)->dtype == first; });
  return same && info_of(first).block == 1 && first != DType::u8 ? first : DType::f32;
}

std::vector<int64_t> shape_of(const TensorRef& tensor) {
  const ExpertPart& part = *tensor.expert;
  if (tensor.shape.size() == 1) return {part.count, part.rows};
  if (part.transposed) return {part.count, tensor.shape[1], part.rows};
  return {part.count, part.rows, tensor.shape[1]};
}

/// The two tensors of an MXFP4 stack as they are stored: blocks and scales.
void add_copies(const Checkpoint& base, const MergedStack& stack, std::vector<MergedStack>& copies) {
  const std::string blocks = base.find(*stack.parts.front()->source)->name;
  const std::string scales = blocks.substr(0, blocks.rfind('_')) + "_scales";
  for (const std::string& name : {blocks, scales}) {
    const StoredTensor* stored = rearranged_stack(base, name);
    check(stored != nullptr, ErrorKind::corrupt, "{}: no tensor {}", base.path().string(), name);
    copies.push_back({{stored->name, stored->dtype, stored->shape, {}}, {}, stored});
  }
}

std::vector<MergedStack> grouped(const MergePlan& plan) {
  std::map<std::string, std::vector<const MergeOutput*>> by_name;
  for (const MergeOutput& output : plan.outputs) {
    if (is_stacked(output)) by_name[output.tensor->expert->stack_name].push_back(&output);
  }
  std::vector<MergedStack> stacks;
  for (auto& [name, parts] : by_name) {
    std::ranges::sort(parts, {}, [](const MergeOutput* output) {
      return std::pair(output->tensor->expert->number, output->tensor->expert->first_row);
    });
    stacks.push_back({{name, DType::f32, shape_of(*parts.front()->tensor), {}}, std::move(parts)});
  }
  return stacks;
}

/// The rows of one part in the layer's.
at::Tensor rows_of(const at::Tensor& layer, const TensorRef& tensor) {
  const ExpertPart& part = *tensor.expert;
  const int64_t end = part.first_row + (tensor.shape[0] - 1) * part.step + 1;
  return layer.slice(0, part.first_row, end, part.step);
}

}  // namespace

bool is_stacked(const MergeOutput& output) {
  return is_only_stacked(*output.tensor);
}

MergedStacks merged_stacks(const Checkpoint& base, const MergePlan& plan, std::optional<DType> type) {
  std::vector<MergedStack> stacks = grouped(plan);
  const bool expands = std::ranges::any_of(stacks, [&](const MergedStack& stack) {
    return is_mxfp4(base, *stack.parts.front()) && is_changed(stack);
  });
  MergedStacks result;
  for (MergedStack& stack : stacks) {
    const MergeOutput& first = *stack.parts.front();
    if (is_mxfp4(base, first) && !expands) {
      add_copies(base, stack, result.stacks);
      result.quantised = true;
      continue;
    }
    stack.declared.dtype = type_of(base, stack, type);
    const StoredTensor* stored =
        base.is_rearranged(*first.source) ? rearranged_stack(base, base.find(*first.source)->name) : nullptr;
    if (stored && !is_changed(stack) && stored->dtype == stack.declared.dtype) stack.copied = stored;
    result.stacks.push_back(std::move(stack));
  }
  return result;
}

void append_stack(const Checkpoint& base, const Method& method, const MergedStack& stack,
                  SafetensorsWriter& writer, MergeResult& result) {
  throw_if_interrupted();
  if (stack.copied) {
    check_finite(*stack.copied);
    writer.append(stack.copied->bytes);
    return;
  }
  const TensorRef& form = *stack.parts.front()->tensor;
  const bool matrix = form.shape.size() == 2, transposed = matrix && form.expert->transposed;
  const std::vector<int64_t> shape =
      matrix ? std::vector{form.expert->rows, form.shape[1]} : std::vector{form.expert->rows};
  const DType type = stack.declared.dtype;
  const bool changed = is_changed(stack);
  for (size_t i = 0; i < stack.parts.size();) {
    throw_if_interrupted();
    ChangedTensor layer{at::empty(shape, at::kFloat), at::empty(shape, at::kFloat)};
    const int64_t number = stack.parts[i]->tensor->expert->number;
    for (; i < stack.parts.size() && stack.parts[i]->tensor->expert->number == number; ++i) {
      const MergeOutput& part = *stack.parts[i];
      const ChangedTensor values = merged_values(base, method, part);
      rows_of(layer.base, *part.tensor).copy_(values.base);
      rows_of(layer.merged, *part.tensor).copy_(values.merged);
    }
    if (transposed) layer = {layer.base.t().contiguous(), layer.merged.t().contiguous()};
    const std::vector<std::byte> bytes = rounded(stack.declared.name, type, layer.merged);
    writer.append(bytes);
    if (changed) add_kept(result.kept, layer, type, bytes);
  }
  if (changed) ++result.types[std::string(info_of(type).name)];
}

}  // namespace lowrank
