#include "model/expert_stacks.h"

#include <optional>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

/// What a stack holds of one expert.
StoredTensor layer_of(const StoredTensor& stack, const ExpertPart& part, std::vector<int64_t> shape) {
  const size_t size = stack.bytes.size() / static_cast<size_t>(part.count);
  return {stack.name, stack.dtype, std::move(shape),
          stack.bytes.subspan(static_cast<size_t>(part.number) * size, size)};
}

void check_stack(const StoredTensor& stack, const std::vector<int64_t>& shape, const std::string& path) {
  check(stack.shape == shape, ErrorKind::invalid, "{}: {} has shape [{}] where [{}] is expected", path,
        stack.name, fmt::join(stack.shape, ", "), fmt::join(shape, ", "));
}

/// The part of a tensor whose rows lie one below the other.
std::optional<StackedPart> plain_part(const TensorRef& tensor, const StackFiles& files) {
  const ExpertPart& part = *tensor.expert;
  const bool gguf = files.gguf;
  const StoredTensor* stack = files.find(gguf ? tensor.gguf_name : part.stack_name);
  const bool fused = gguf && !stack && tensor.shape.size() == 2 && tensor.role != Role::down;
  if (fused) stack = files.find(fmt::format("blk.{}.ffn_gate_up_exps.weight", tensor.layer));
  if (!stack) return std::nullopt;
  const bool with_others = !gguf || fused;
  std::vector<int64_t> shape = tensor.shape;
  if (with_others) shape[0] = part.rows;
  const int64_t rows = shape[0];
  shape.insert(shape.begin(), part.count);
  check_stack(*stack, shape, files.path);
  StoredTensor own = layer_of(*stack, part, tensor.shape);
  const size_t row_bytes = own.bytes.size() / static_cast<size_t>(rows);
  const auto first = static_cast<size_t>(with_others ? part.first_row : 0);
  own.bytes = own.bytes.subspan(first * row_bytes, static_cast<size_t>(tensor.shape[0]) * row_bytes);
  return StackedPart{std::move(own)};
}

}  // namespace

void ExpertStacks::add(const TensorRef& tensor, const StackFiles& files) {
  const ExpertPart& part = *tensor.expert;
  if (files.gguf || (part.step == 1 && !part.transposed)) {
    if (std::optional<StackedPart> plain = plain_part(tensor, files)) parts_[tensor.name] = std::move(*plain);
    return;
  }
  const bool matrix = tensor.shape.size() == 2;
  if (const StoredTensor* blocks = matrix ? files.find(part.stack_name + "_blocks") : nullptr) {
    parts_[tensor.name] = part_of_blocks(tensor, *blocks, files);
  } else if (const StoredTensor* stack = files.find(part.stack_name)) {
    parts_[tensor.name] = part_of_layers(tensor, *stack, files);
  }
}

StackedPart ExpertStacks::part_of_blocks(const TensorRef& tensor, const StoredTensor& blocks,
                                         const StackFiles& files) {
  const ExpertPart& part = *tensor.expert;
  const StoredTensor* scales = files.find(part.stack_name + "_scales");
  check(scales != nullptr, ErrorKind::corrupt, "{}: {} has no {}_scales", files.path, blocks.name,
        part.stack_name);
  const int64_t columns = tensor.shape[1];
  check(columns % 32 == 0 && blocks.dtype == DType::u8 && scales->dtype == DType::u8, ErrorKind::invalid,
        "{}: {} is no MXFP4: rows must hold multiples of 32 values, in U8", files.path, blocks.name);
  check_stack(blocks, {part.count, part.rows, columns / 32, 16}, files.path);
  check_stack(*scales, {part.count, part.rows, columns / 32}, files.path);
  rearranged_[blocks.name] = &blocks;
  rearranged_[scales->name] = scales;
  return {layer_of(blocks, part, {part.rows, columns}), layer_of(*scales, part, {}).bytes, part.first_row,
          part.step, false};
}

StackedPart ExpertStacks::part_of_layers(const TensorRef& tensor, const StoredTensor& stack,
                                         const StackFiles& files) {
  const ExpertPart& part = *tensor.expert;
  const bool matrix = tensor.shape.size() == 2;
  std::vector<int64_t> layer{part.rows};
  if (matrix) layer.insert(layer.begin(), tensor.shape[1]);
  std::vector<int64_t> whole = layer;
  whole.insert(whole.begin(), part.count);
  check_stack(stack, whole, files.path);
  rearranged_[stack.name] = &stack;
  return {layer_of(stack, part, std::move(layer)), {}, part.first_row, part.step, matrix};
}

const StackedPart* ExpertStacks::find(const TensorRef& tensor) const {
  const auto part = parts_.find(tensor.name);
  return part == parts_.end() ? nullptr : &part->second;
}

bool ExpertStacks::is_rearranged(const TensorRef& tensor) const {
  const StackedPart* part = tensor.expert ? find(tensor) : nullptr;
  // A bias may lie there as it is, but its stack is copied with the others.
  return part && (tensor.expert->transposed || !part->is_plain());
}

std::vector<const StoredTensor*> ExpertStacks::rearranged_stacks() const {
  std::vector<const StoredTensor*> stacks;
  for (const auto& [name, stack] : rearranged_) stacks.push_back(stack);
  return stacks;
}

}  // namespace lowrank
