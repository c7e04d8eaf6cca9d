#include "session/adapters/update_norm.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "base/interrupt.h"

namespace lowrank {

std::optional<double> norm_of_update(const Adapter& adapter, const Checkpoint& base) {
  const at::NoGradGuard no_grad;
  double squares = 0;
  bool changes = false;
  for (const TensorRef& tensor : base.spec().tensors) {
    if (!adapter.method->merges(tensor)) continue;
    throw_if_interrupted();
    const at::Tensor before = base.read(base.source(tensor), at::kFloat);
    const std::optional<at::Tensor> after = adapter.method->merged(tensor, before);
    if (!after) continue;
    changes = true;
    squares += (after->to(at::kDouble) - before.to(at::kDouble)).square().sum().item<double>();
  }
  return changes ? std::optional(std::sqrt(squares)) : std::nullopt;
}

}  // namespace lowrank
