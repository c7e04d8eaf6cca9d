#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Tensors computed from parameters once per step. The step's passes use detached copies; the gradients
/// accumulated there are propagated to the parameters once, regardless of the number of micro-batches.
class ResolvedValues {
 public:
  using Values = std::vector<std::vector<at::Tensor>>;  ///< by module

  /// Before a step's passes.
  void begin_step(const std::function<Values()>& compute);
  /// After the last backward pass.
  void end_backward();
  /// True from `begin_step` until `clear`.
  bool known() const { return !copies_.empty(); }
  /// Discards the values, which no longer match the parameters.
  void clear() { copies_.clear(); }
  /// The copies of one module.
  const std::vector<at::Tensor>& of(size_t module) const { return copies_[module]; }

 private:
  Values computed_, copies_;
};

}  // namespace lowrank
