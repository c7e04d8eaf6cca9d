#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "kernels/operations/attention.h"
#include "kernels/operations/recomputed.h"
#include "kernels/operations/rope.h"
#include "model/hooks.h"
#include "model/kv_cache.h"

namespace lowrank {

/// Attention of one layer over packed, rotated qkv [T, (heads + 2 kv_heads) * head_dim] -> [T, heads *
/// head_dim]: over the sequence's own rows or the cache, after any prefix that the hooks give. `sinks`: a
/// logit for each head (kernels/operations/attention_sinks.h), undefined for none.
at::Tensor attend(const Place& place, const Hooks& hooks, const at::Tensor& qkv, const AttentionShape& shape,
                  KvCache* cache, const at::Tensor& sinks = {});

/// What a mixer knows of the pass.
struct MixerPass {
  const Place& in;
  const Place& out;
  const Hooks& hooks;
  const RopeTable* rotary;  ///< of the layer's rows; null where it rotates nothing
  KvCache* cache;           ///< null: whole sequences are computed
};

/// What a layer has in the place of plain attention.
struct Mixer {
  virtual ~Mixer() = default;
  /// The branch's output for the rows of `out`, [R, d], from the normed rows x [T, d] of `in`.
  virtual at::Tensor forward(const MixerPass& pass, const at::Tensor& x) const = 0;
};

/// Of the rows [T, n] those that the layer outputs (`SequenceLayout::output_tokens`), [R, n]: nothing after
/// the attention needs to be computed for the others.
at::Tensor output_rows(const at::Tensor& rows, const SequenceLayout& layout);

/// The layout of the rows that enter a layer, with those that it outputs: after the last layer those that
/// `Context::read` asks for, else all.
SequenceLayout layout_entering(const Context& context, const SequenceLayout& layout, bool last);

/// Gives freed memory back to the system after some of the layers that are to be recomputed, where their
/// stream is large: what layers free lies in pieces, which the next ones' large values do not quite fill.
void return_pieces(const at::Tensor& stream, int layer);

/// One layer: stream and branch after it from the hidden state before it; `in` has the rows that enter it,
/// `out` those that it outputs.
using LayerBody = std::function<TensorPair(const HiddenState& hidden, const Place& in, const Place& out)>;

/// The hidden state after layer `index`, from the one before it: the stream and the branch that `body` gives
/// for the `output_rows` (after the last layer those that `Context::read` asks for), passed through
/// `Hooks::layer_end`. With `Context::recompute` and if a gradient is needed, only `hidden` is kept for the
/// backward pass, which computes the layer again; what `body` and `hooks` refer to must live until then.
HiddenState run_layer(const Context& context, const Hooks& hooks, const HiddenState& hidden, int index,
                      bool last, const LayerBody& body);

}  // namespace lowrank
