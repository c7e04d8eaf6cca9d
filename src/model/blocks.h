#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/attention.h"
#include "kernels/recomputed.h"
#include "model/hooks.h"
#include "model/kv_cache.h"

namespace lowrank {

/// Attention of one layer over packed, rotated qkv [T, (heads + 2 kv_heads) * head_dim] -> [T, heads *
/// head_dim]: own rows or the cache, behind whatever prefix the hooks give.
at::Tensor attend(const Place& place, const Hooks& hooks, const at::Tensor& qkv, const AttentionShape& shape,
                  KvCache* cache);

/// Of a layer's rows [T, n] those that leave it (`Geometry::leaving`), [R, n]: what comes behind the
/// attention need not be computed for others.
at::Tensor leaving_rows(const at::Tensor& rows, const Geometry& geometry);

/// One layer: its branch outputs from the hidden state before it; `in` are the rows that enter it, `out`
/// those that leave it.
using LayerBody = std::function<TensorPair(const Packed& hidden, const Place& in, const Place& out)>;

/// The hidden state after layer `index`, from the one before it: the stream and the branch that `body` gives,
/// whose rows are the `leaving_rows` (after the last layer those that `Context::read` asks for), through
/// `Hooks::layer_end`. With `Context::recompute` and where a gradient passes, only `hidden` is kept for the
/// backward pass and the layer is computed again there; what `body` and `hooks` refer to must live until
/// then.
Packed run_layer(const Context& context, const Hooks& hooks, const Packed& hidden, int index, bool last,
                 const LayerBody& body);

}  // namespace lowrank
