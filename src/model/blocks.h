#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/attention.h"
#include "model/hooks.h"
#include "model/kv_cache.h"

namespace lowrank {

/// Attention of one layer over packed, rotated qkv [T, (heads + 2 kv_heads) * head_dim] -> [T, heads *
/// head_dim]: own rows or the cache, behind whatever prefix the hooks give.
at::Tensor attend(const Context& context, const Hooks& hooks, int layer, const at::Tensor& qkv,
                  const Geometry& geometry, const AttentionShape& shape, KvCache* cache);

/// A layer's hidden state from the one before it, `layer(hidden)`, which keeps the geometry. With
/// `Context::recompute` and where a gradient passes, only `hidden` is kept for the backward pass and the
/// layer is computed again there; what `layer` refers to must live until then.
Packed run_layer(const Context& context, const Packed& hidden,
                 const std::function<Packed(const Packed&)>& layer);

}  // namespace lowrank
