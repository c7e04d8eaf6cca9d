#include "model/gemma4/gemma4_heads.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "kernels/operations/head_norm.h"
#include "kernels/operations/rms_norm.h"

namespace lowrank {

at::Tensor Gemma4Heads::query_key_value(const at::Tensor& products, const RopeTable& table,
                                        const Context& context, const Hooks& hooks) const {
  const int64_t width = heads * head_dim, kv_width = kv_heads * head_dim;
  const at::Tensor weight = weight_of(query_norm, context, hooks);
  const at::Tensor value = products.narrow(1, value_is_key ? width : width + kv_width, kv_width);
  const at::Tensor normed = rms_norm(value.reshape({-1, head_dim}), at::ones({head_dim}, weight.options()),
                                     epsilon, products.scalar_type())
                                .reshape(value.sizes());
  const at::Tensor all = at::cat({products.narrow(1, 0, width + kv_width), normed}, 1);
  return rope(head_norm(all, weight, weight_of(key_norm, context, hooks), heads, kv_heads, epsilon), table,
              heads, kv_heads, head_dim);
}

at::Tensor Gemma4Heads::query(const at::Tensor& products, const RopeTable& table, const Context& context,
                              const Hooks& hooks) const {
  const at::Tensor normed = rms_norm(products.reshape({-1, head_dim}), weight_of(query_norm, context, hooks),
                                     epsilon, products.scalar_type());
  return rope(normed.reshape(products.sizes()), table, heads, 0, head_dim);
}

}  // namespace lowrank
