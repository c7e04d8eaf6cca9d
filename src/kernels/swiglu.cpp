#include "kernels/swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>

namespace lowrank {

at::Tensor swiglu_reference(const at::Tensor& gate_up) {
  const int64_t width = gate_up.size(1) / 2;
  const at::ScalarType type = gate_up.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor gate = gate_up.narrow(1, 0, width).to(type);
  const at::Tensor up = gate_up.narrow(1, width, width).to(type);
  return (at::silu(gate) * up).to(gate_up.scalar_type());
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  return swiglu_reference(gate_up);
}

}  // namespace lowrank
