#include "kernels/operations/gated_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>

#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/gated_norm_cpu.h"

namespace lowrank {

at::Tensor gated_norm_reference(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight,
                                double epsilon) {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor heads = x.to(type).reshape({x.size(0), x.size(1) / weight.size(0), weight.size(0)});
  const at::Tensor normed = heads * at::rsqrt(at::mean(heads * heads, 2, true) + epsilon) * weight;
  return (normed.reshape(x.sizes()) * at::silu(gate.to(type))).to(x.scalar_type());
}

namespace {

constexpr int64_t rows_per_piece = 8;

struct GatedNormBackward : Node {
  at::Tensor x, gate, weight;
  double epsilon = 0;

  void release_variables() override {
    x.reset();
    gate.reset();
  }

  GatedNorm operation() const {
    return {x.const_data_ptr(),
            gate.const_data_ptr(),
            weight.const_data_ptr<float>(),
            x.size(1),
            gate.stride(0),
            weight.size(0),
            static_cast<float>(epsilon),
            x.scalar_type() == at::kBFloat16};
  }

  GradientList apply(GradientList&& gradients) override {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor()};
    const at::NoGradGuard no_grad;
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_x = at::empty(x.sizes(), x.options()), d_gate = at::empty(x.sizes(), x.options());
    const GatedNorm op = operation();
    parallel_for(0, x.size(0), rows_per_piece, [&](int64_t begin, int64_t end) {
      gated_norm_backward_cpu(op, d_out.const_data_ptr(), d_x.mutable_data_ptr(), d_gate.mutable_data_ptr(),
                              begin, end);
    });
    return {d_x, d_gate};
  }
};

}  // namespace

at::Tensor gated_norm(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& weight, double epsilon) {
  const OpScope scope("gated_norm");
  const bool known = on_cpu(x) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
  if (!known || needs_gradient(weight)) return gated_norm_reference(x, gate, weight, epsilon);
  const NodePointer<GatedNormBackward> node = make_node<GatedNormBackward>(x, gate);
  const bool differentiable = needs_gradient(x, gate);
  const at::NoGradGuard no_grad;
  node->x = x.detach().contiguous();
  node->gate = gate.stride(1) == 1 ? gate.detach() : gate.detach().contiguous();
  node->weight = weight.detach().contiguous();
  node->epsilon = epsilon;
  at::Tensor out = at::empty(x.sizes(), x.options());
  const GatedNorm op = node->operation();
  parallel_for(0, x.size(0), rows_per_piece, [&](int64_t begin, int64_t end) {
    gated_norm_forward_cpu(op, out.mutable_data_ptr(), begin, end);
  });
  if (differentiable) connect(out, node);
  return out;
}

}  // namespace lowrank
