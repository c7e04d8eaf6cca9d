#include "peft/core/subset_method.h"

namespace lowrank {

TrainPlan SubsetMethod::plan(const ModelSpec& spec) {
  trained_ = {};
  for (const TensorRef* tensor : chosen(spec)) trained_.add(*tensor, key(*tensor));
  for (const TensorRef* tensor : tensors_to_save(spec, with_head(spec, {})))
    trained_.add(*tensor, key(*tensor));
  trained_.keep_tie(spec);
  TrainPlan plan;
  trained_.plan(plan);
  return plan;
}

at::Tensor SubsetMethod::weight(const Context& context, const TensorRef& tensor) const {
  const auto value = trained_.value(tensor);
  return value ? *value : Hooks::weight(context, tensor);
}

}  // namespace lowrank
