#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "kernels/operations/attention.h"
#include "kernels/products/patch.h"
#include "model/sequence_layout.h"
#include "model/spec.h"

namespace lowrank {

class Embedding;
class FactorStacks;
struct ExpertLoads;
struct Norm;

/// The inputs of one forward pass. Hooks are pure functions of it, so that a pass can be computed again.
struct Context {
  const Batch* batch = nullptr;
  bool training = false;           ///< dropout is active
  uint64_t dropout_seed = 0;       ///< of this micro-batch, derived from (seed, step, micro-batch)
  bool recompute = false;          ///< layers keep only their inputs and are computed again for the gradient
  FactorStacks* stacks = nullptr;  ///< of the training step that the pass belongs to; null outside training
  std::vector<int64_t> read = {};  ///< batch rows whose last hidden state is needed, ascending; empty: all
  ExpertLoads* loads = nullptr;    ///< where passes count what experts are used for; null: they do not
};

/// Where in a pass a hook is called: the pass, the layout of the rows that the hook sees, and the layer.
struct Place {
  const Context& context;
  const SequenceLayout& layout;
  int layer = -1;  ///< -1 outside the layers
};

/// The end of a branch (attention or MLP) of a layer.
struct Site {
  Role branch = Role::attention_out;  ///< attention_out or down
  const Norm* post_norm = nullptr;    ///< post-norm models: the norm that follows the sum; else nullptr
};

/// Keys and values that a method puts before each sequence in a layer.
struct Prefix {
  KeyValue rows;  ///< [N, kv_heads * head_dim] each, of any floating type; keys are not rotated again
  std::vector<KeyRun> runs;  ///< [S] the rows of each sequence, possibly none, and their positions (the model
                             ///< sets source)
};

/// The points where a method can act on a model. Every default means "the plain model". A family calls all of
/// them and knows no method; a method overrides what it needs and knows no family.
struct Hooks {
  virtual ~Hooks() = default;

  /// Changes the batch before the pass: inserts virtual rows where a sequence starts (its first position is
  /// 0) and moves positions and targets. A sequence that starts at a later position continues from a cache.
  virtual void layout(Batch& batch) const;

  /// False if an earlier pass cannot be continued with the new rows alone: generation then computes whole
  /// sequences instead of caching keys and values.
  virtual bool can_cache() const { return true; }

  /// The rows [T, d] that enter the first layer, from the embedding's rows for the batch's ids (zeros for
  /// virtual tokens), in the stream's type.
  virtual at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const;

  /// What is added to the module's product, each for some of its rows and tokens (kernels/products/patch.h);
  /// rows are those of the module itself, tokens those of `place`. Patches that share a row and a token must
  /// only add
  /// (`only_adds`).
  virtual std::vector<Patch> patches(const Place& place, const Module& module) const;

  /// The value of a base tensor that the method's plan marks as trained or generated.
  virtual at::Tensor weight(const Context& context, const TensorRef& tensor) const;

  /// Keys and values before each sequence.
  virtual std::optional<Prefix> prefix(const Place& place) const;

  /// What is added to the stream at the end of a branch. `in`: the stream where the branch began; `out`: the
  /// branch's output.
  virtual at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                                const at::Tensor& out) const;

  /// The hidden state after the layer, laid out as `place` says; may insert rows (see `with_rows_in_front`).
  virtual HiddenState layer_end(const Place& place, HiddenState hidden) const;
};

}  // namespace lowrank
