#include "kernels/operations/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include "kernels/core/device_kernels.h"
#include "kernels/core/node.h"

namespace lowrank {
namespace {

/// The rotated rows with their first `width` columns, the query heads, times the table's factors.
at::Tensor with_query_factors(const at::Tensor& qkv, const RopeTable& table, int64_t width) {
  if (!table.query_factors.defined()) return qkv;
  const at::Tensor factors = table.query_factors.unsqueeze(1).to(qkv.scalar_type());
  const at::Tensor queries = qkv.narrow(1, 0, width) * factors;
  return at::cat({queries, qkv.narrow(1, width, qkv.size(1) - width)}, 1);
}

/// Where queries are rotated and multiplied, they are rounded to bf16 once, behind both.
bool needs_f32(const at::Tensor& qkv, const RopeTable& table) {
  return table.query_factors.defined() && qkv.scalar_type() == at::kBFloat16;
}

}  // namespace

at::Tensor rope_reference(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                          int64_t head_dim) {
  if (needs_f32(qkv, table))
    return rope_reference(qkv.to(at::kFloat), table, heads, kv_heads, head_dim).to(at::kBFloat16);
  const int64_t half = table.cos.size(1);
  const int64_t rotated = (heads + kv_heads) * head_dim;
  const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor x = qkv.narrow(1, 0, rotated).to(type).reshape({-1, heads + kv_heads, head_dim});
  const at::Tensor pairs = x.narrow(2, 0, 2 * half);
  const at::Tensor a = table.adjacent ? pairs.slice(2, 0, std::nullopt, 2) : pairs.narrow(2, 0, half);
  const at::Tensor b = table.adjacent ? pairs.slice(2, 1, std::nullopt, 2) : pairs.narrow(2, half, half);
  const at::Tensor cos = table.cos.to(type).unsqueeze(1);
  const at::Tensor sin = table.sin.to(type).unsqueeze(1);
  const at::Tensor first = a * cos - b * sin, second = b * cos + a * sin;
  const at::Tensor mixed =
      table.adjacent ? at::stack({first, second}, 3).flatten(2) : at::cat({first, second}, 2);
  const at::Tensor turned = at::cat({mixed, x.narrow(2, 2 * half, head_dim - 2 * half)}, 2);
  return with_query_factors(at::cat({turned.reshape({-1, rotated}).to(qkv.scalar_type()),
                                     qkv.narrow(1, rotated, kv_heads * head_dim)},
                                    1),
                            table, heads * head_dim);
}

namespace {

struct Heads {
  int64_t rotated, head_dim;
};

at::Tensor rotated(const at::Tensor& qkv, const RopeTable& table, const Heads& heads, float sign) {
  const at::Tensor in = qkv.contiguous();
  at::Tensor out = at::empty(in.sizes(), in.options());
  const Rotation op{in.const_data_ptr(),
                    out.mutable_data_ptr(),
                    table.cos.const_data_ptr<float>(),
                    table.sin.const_data_ptr<float>(),
                    in.size(1),
                    heads.rotated,
                    heads.head_dim,
                    table.cos.size(1),
                    sign,
                    in.scalar_type() == at::kBFloat16,
                    table.adjacent};
  compute(kernels_for(in.device()).rotate, op, in.size(0), in.device());
  return out;
}

struct RopeBackward : Node {
  RopeTable table;
  Heads heads{};

  GradientList apply(GradientList&& gradients) override {
    if (!task_should_compute_output(0) || !gradients[0].defined()) return {at::Tensor()};
    return {rotated(gradients[0], table, heads, -1)};
  }
};

/// The rotation alone, differentiable.
at::Tensor turned(const at::Tensor& qkv, const RopeTable& table, const Heads& heads) {
  NodePointer<RopeBackward> node;
  if (needs_gradient(qkv)) node = make_node<RopeBackward>(qkv);
  const at::NoGradGuard no_grad;
  at::Tensor out = rotated(qkv, table, heads, 1);
  if (!node) return out;
  node->table = table;
  node->heads = heads;
  connect(out, node);
  return out;
}

}  // namespace

at::Tensor rope(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                int64_t head_dim) {
  const OpScope scope("rope");
  if (!kernels_for(qkv.device()).rotate ||
      (qkv.scalar_type() != at::kFloat && qkv.scalar_type() != at::kBFloat16)) {
    return rope_reference(qkv, table, heads, kv_heads, head_dim);
  }
  if (needs_f32(qkv, table))
    return rope(qkv.to(at::kFloat), table, heads, kv_heads, head_dim).to(at::kBFloat16);
  return with_query_factors(turned(qkv, table, {heads + kv_heads, head_dim}), table, heads * head_dim);
}

}  // namespace lowrank
