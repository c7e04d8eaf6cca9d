#include "kernels/operations/head_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include "kernels/core/device.h"
#include "kernels/core/node.h"
#include "kernels/core/parallel.h"
#include "kernels/operations/cpu/head_norm_cpu.h"

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

constexpr int64_t rows_per_piece = 16;

struct HeadNormBackward : Node {
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
    at::Tensor d_qkv = at::empty_like(qkv);
    const HeadNorm op = operation();
    parallel_for(0, qkv.size(0), rows_per_piece, [&](int64_t begin, int64_t end) {
      head_norm_backward_cpu(op, d_out.const_data_ptr(), d_qkv.mutable_data_ptr(), begin, end);
    });
    return {d_qkv};
  }
};

}  // namespace

at::Tensor head_norm(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                     int64_t heads, int64_t kv_heads, double epsilon) {
  const OpScope scope("head_norm");
  const bool known = on_cpu(qkv) && (qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16);
  if (!known || needs_gradient(query_weight, key_weight)) {
    return head_norm_reference(qkv, query_weight, key_weight, heads, kv_heads, epsilon);
  }
  const NodePointer<HeadNormBackward> node = make_node<HeadNormBackward>(qkv);
  const bool differentiable = needs_gradient(qkv);
  const at::NoGradGuard no_grad;
  node->qkv = qkv.detach().contiguous();
  node->query_weight = query_weight.detach().contiguous();
  node->key_weight = key_weight.detach().contiguous();
  node->heads = heads;
  node->kv_heads = kv_heads;
  node->epsilon = epsilon;
  at::Tensor out = at::empty_like(node->qkv);
  const HeadNorm op = node->operation();
  parallel_for(0, qkv.size(0), rows_per_piece, [&](int64_t begin, int64_t end) {
    head_norm_forward_cpu(op, out.mutable_data_ptr(), begin, end);
  });
  if (differentiable) connect(out, node);
  return out;
}

}  // namespace lowrank
