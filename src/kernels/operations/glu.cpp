#include "kernels/operations/glu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"

namespace lowrank {

at::Tensor glu_reference(const at::Tensor& gate_up, Gate function) {
  const int64_t width = gate_up.size(1) / 2;
  const at::ScalarType type = gate_up.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor gate = gate_up.narrow(1, 0, width).to(type);
  const at::Tensor up = gate_up.narrow(1, width, width).to(type);
  const at::Tensor open =
      function == Gate::silu ? at::silu(gate) : at::gelu(gate, function == Gate::gelu ? "none" : "tanh");
  return (open * up).to(gate_up.scalar_type());
}

namespace {

struct GluNode : Node {
  at::Tensor gate_up;  ///< [T, 2f]
  Gate gate = Gate::silu;

  void release_variables() override { gate_up.reset(); }

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    const at::Tensor dy = gradients[0].contiguous();
    at::Tensor d_gate_up = at::empty(gate_up.sizes(), gate_up.options());
    const GluBackward op{
        gate_up.const_data_ptr(),         dy.const_data_ptr(), d_gate_up.mutable_data_ptr(), dy.size(1), gate,
        dy.scalar_type() == at::kBFloat16};
    compute(kernels_for(dy.device()).glu_backward, op, dy.size(0), dy.device());
    return {d_gate_up};
  }
};

}  // namespace

at::Tensor glu(const at::Tensor& gate_up, Gate gate) {
  const OpScope scope("glu");
  const bool bf16 = gate_up.scalar_type() == at::kBFloat16;
  const Kernel<GluForward> kernel = kernels_for(gate_up.device()).glu_forward;
  if (!kernel || (!bf16 && gate_up.scalar_type() != at::kFloat)) return glu_reference(gate_up, gate);
  NodePointer<GluNode> node;
  if (needs_gradient(gate_up)) node = make_node<GluNode>(gate_up);
  const at::NoGradGuard no_grad;
  const at::Tensor from = gate_up.contiguous();
  at::Tensor out = at::empty({from.size(0), from.size(1) / 2}, from.options());
  const GluForward op{from.const_data_ptr(), out.mutable_data_ptr(), out.size(1), gate, bf16};
  compute(kernel, op, from.size(0), from.device());
  if (!node) return out;
  node->gate_up = from.detach();
  node->gate = gate;
  connect(out, node);
  return out;
}

}  // namespace lowrank
