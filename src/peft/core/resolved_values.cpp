#include "peft/core/resolved_values.h"

namespace lowrank {

void ResolvedValues::begin_step(const std::function<Values()>& compute) {
  computed_ = compute();
  copies_ = computed_;
  for (std::vector<at::Tensor>& values : copies_) {
    for (at::Tensor& value : values) {
      const bool trains = value.requires_grad();
      value = value.detach();
      value.set_requires_grad(trains);
    }
  }
}

void ResolvedValues::end_backward() {
  for (size_t i = 0; i < computed_.size(); ++i) {
    for (size_t j = 0; j < computed_[i].size(); ++j) {
      const at::Tensor& gradient = copies_[i][j].grad();
      // Two values may share a part of the graph.
      if (gradient.defined()) computed_[i][j].backward(gradient, /*retain_graph=*/true);
    }
  }
  computed_.clear();
}

}  // namespace lowrank
