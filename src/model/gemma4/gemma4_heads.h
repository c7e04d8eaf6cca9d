#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/operations/rope.h"
#include "model/linear.h"

namespace lowrank {

/// From the products of an attention layer of Gemma 4 to what attends: norms on the heads of queries, keys
/// and (without a weight) values, and the rotation of queries and keys.
struct Gemma4Heads {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  bool value_is_key = false;
  double epsilon = 0;
  Norm query_norm, key_norm;  ///< `key_norm` is empty in a layer without its own keys

  /// q, k and v side by side, from [T, (heads + 2 kv_heads) * head_dim], or from q and k alone where values
  /// are keys.
  at::Tensor query_key_value(const at::Tensor& products, const RopeTable& table, const Context& context,
                             const Hooks& hooks) const;

  /// q alone, from [T, heads * head_dim].
  at::Tensor query(const at::Tensor& products, const RopeTable& table, const Context& context,
                   const Hooks& hooks) const;
};

}  // namespace lowrank
