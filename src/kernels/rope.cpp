#include "kernels/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

namespace lowrank {

at::Tensor rope_reference(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                          int64_t head_dim) {
  const int64_t half = table.cos.size(1);
  const int64_t rotated = (heads + kv_heads) * head_dim;
  const at::ScalarType type = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor x = qkv.narrow(1, 0, rotated).to(type).reshape({-1, heads + kv_heads, head_dim});
  const at::Tensor a = x.narrow(2, 0, half);
  const at::Tensor b = x.narrow(2, half, half);
  const at::Tensor cos = table.cos.to(type).unsqueeze(1);
  const at::Tensor sin = table.sin.to(type).unsqueeze(1);
  const at::Tensor turned =
      at::cat({a * cos - b * sin, b * cos + a * sin, x.narrow(2, 2 * half, head_dim - 2 * half)}, 2);
  return at::cat(
      {turned.reshape({-1, rotated}).to(qkv.scalar_type()), qkv.narrow(1, rotated, kv_heads * head_dim)}, 1);
}

at::Tensor rope(const at::Tensor& qkv, const RopeTable& table, int64_t heads, int64_t kv_heads,
                int64_t head_dim) {
  return rope_reference(qkv, table, heads, kv_heads, head_dim);
}

}  // namespace lowrank
