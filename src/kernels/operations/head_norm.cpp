#include "kernels/operations/head_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"

namespace lowrank {

at::Tensor head_norm_reference(const at::Tensor& qkv, const at::Tensor& query_weight,
                               const at::Tensor& key_weight, int64_t heads, int64_t kv_heads,
                               double epsilon) {
  const int64_t head_dim = query_weight.size(0);
  const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto normed = [&](int64_t first, int64_t count, const at::Tensor& weight) {
    const at::Tensor x =
        qkv.narrow(1, first * head_dim, count * head_dim).to(type).reshape({-1, count, head_dim});
    const at::Tensor y = x * at::rsqrt(at::mean(x * x, 2, true) + epsilon) * weight;
    return y.reshape({-1, count * head_dim}).to(qkv.scalar_type());
  };
  return at::cat({normed(0, heads, query_weight), normed(heads, kv_heads, key_weight),
                  qkv.narrow(1, (heads + kv_heads) * head_dim, kv_heads * head_dim)},
                 1);
}

namespace {

struct HeadNormNode : Node {
  at::Tensor qkv, query_weight, key_weight;
  int64_t heads = 0, kv_heads = 0;
  double epsilon = 0;

  void release_variables() override { qkv.reset(); }

  HeadNorm operation() const {
    return {qkv.const_data_ptr(),
            query_weight.const_data_ptr<float>(),
            key_weight.const_data_ptr<float>(),
            qkv.size(1),
            heads,
            kv_heads,
            query_weight.size(0),
            static_cast<float>(epsilon),
            qkv.scalar_type() == at::kBFloat16};
  }

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    const at::Tensor d_out = gradients[0].contiguous();
    at::Tensor d_qkv = at::empty(qkv.sizes(), qkv.options());
    const HeadNormBackward op{operation(), d_out.const_data_ptr(), d_qkv.mutable_data_ptr()};
    compute(kernels_for(qkv.device()).head_norm_backward, op, qkv.size(0), qkv.device());
    return {d_qkv};
  }
};

}  // namespace

at::Tensor head_norm(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                     int64_t heads, int64_t kv_heads, double epsilon) {
  const OpScope scope("head_norm");
  const Kernel<HeadNormForward> kernel = kernels_for(qkv.device()).head_norm_forward;
  const bool known = kernel && (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
  if (!known || needs_gradient(query_weight, key_weight)) {
    return head_norm_reference(qkv, query_weight, key_weight, heads, kv_heads, epsilon);
  }
  const NodePointer<HeadNormNode> node = make_node<HeadNormNode>(qkv);
  const bool differentiable = needs_gradient(qkv);
  const at::NoGradGuard no_grad;
  node->qkv = qkv.detach().contiguous();
  node->query_weight = query_weight.detach().contiguous();
  node->key_weight = key_weight.detach().contiguous();
  node->heads = heads;
  node->kv_heads = kv_heads;
  node->epsilon = epsilon;
  at::Tensor out = at::empty(node->qkv.sizes(), node->qkv.options());
  compute(kernel, HeadNormForward{node->operation(), out.mutable_data_ptr()}, qkv.size(0), qkv.device());
  if (differentiable) connect(out, node);
  return out;
}

}  // namespace lowrank
