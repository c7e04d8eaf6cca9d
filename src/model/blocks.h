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

/// Of a layer's rows [T, n] those that leave it (`Geometry::leaving`), [R, n]: what comes behind the
/// attention need not be computed for others.
at::Tensor leaving_rows(const at::Tensor& rows, const Geometry& geometry);

/// A layer's hidden state from the one before it, `layer(hidden)`, whose rows are the `leaving_rows`: behind
/// the last layer those that `Context::read` asks for. With `Context::recompute` and where a gradient passes,
/// only `hidden` is kept for the backward pass and the layer is computed again there; what `layer` refers to
/// must live until then.
Packed run_layer(const Context& context, const Packed& hidden, bool last,
                 const std::function<Packed(const Packed&)>& layer);

}  // namespace lowrank
