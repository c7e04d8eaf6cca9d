#include "peft/core/stacked_experts.h"

namespace lowrank {

bool is_only_stacked(const TensorRef& tensor) {
  if (!tensor.expert) return false;
  constexpr std::string_view bias = "_bias";
  std::string_view stack = tensor.expert->stack_name;
  if (!tensor.is_weight() && stack.ends_with(bias)) stack.remove_suffix(bias.size());
  return tensor.name.starts_with(stack) &&
         std::string_view(tensor.name).substr(stack.size()).starts_with('.');
}

}  // namespace lowrank
