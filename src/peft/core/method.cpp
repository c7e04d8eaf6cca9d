#include "peft/core/method.h"

#include <fmt/format.h>

#include "peft/core/from_patches.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {

at::Tensor Method::weight(const Context& context, const TensorRef& tensor) const {
  const TrainedTensors* beside = trained_beside();
  const std::optional<at::Tensor> value = beside ? beside->value(tensor) : std::nullopt;
  return value ? *value : Hooks::weight(context, tensor);
}

std::string Method::prefix_sharing_blocker() const {
  return patches_drop_rows(*this) ? "dropout differs from row to row" : "";
}

bool Method::merges(const TensorRef& tensor) const {
  // What acts outside the weights cannot be merged, so the rest is not merged either.
  if (acts_between_layers()) return false;
  const TrainedTensors* beside = trained_beside();
  return (beside && beside->holds(tensor)) || patches_change(*this, tensor);
}

std::optional<at::Tensor> Method::merged(const TensorRef& tensor, const at::Tensor& value) const {
  if (acts_between_layers()) return std::nullopt;
  if (const TrainedTensors* beside = trained_beside()) {
    if (std::optional<at::Tensor> trained = beside->value(tensor)) return trained;
  }
  if (!patches_change(*this, tensor)) return std::nullopt;
  return with_patches(*this, tensor, value);
}

std::optional<at::Tensor> Method::unmerged(const TensorRef& tensor, const at::Tensor& merged) const {
  const TrainedTensors* beside = trained_beside();
  if (acts_between_layers() || (beside && beside->holds(tensor)) || !patches_change(*this, tensor))
    return std::nullopt;
  return without_patches(*this, tensor, merged);
}

std::string Method::why_not_unmerged() const {
  const TrainedTensors* beside = trained_beside();
  const std::vector<std::string> names = beside ? beside->names() : std::vector<std::string>();
  if (names.empty()) return "it replaces weights of the base, whose own values are not in the adapter";
  return fmt::format("it replaces {} whole, whose own values are not in the adapter", names.front());
}

LowRankForm Method::low_rank_form() const {
  return low_rank_form_of(*this);
}

}  // namespace lowrank
