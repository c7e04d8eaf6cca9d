#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/attention.h"
#include "kernels/low_rank_linear.h"
#include "model/geometry.h"
#include "model/spec.h"
#include "text/batch.h"

namespace lowrank {

class Embedding;
struct Linear;
struct Norm;

/// What one forward pass is about. Hooks are pure functions of it, so that a pass can be computed again.
struct Context {
  const Batch* batch = nullptr;
  bool training = false;      ///< dropout acts
  uint64_t dropout_seed = 0;  ///< of this micro-batch, derived from (seed, step, micro-batch)
  bool recompute = false;     ///< layers keep only their inputs and are computed again for the gradient
  std::vector<int64_t> read =
      {};  ///< rows of the batch whose last hidden state is wanted, ascending; empty: all
};

/// The place in a layer where a branch (attention or MLP) ends.
struct Site {
  int layer = 0;
  Role branch = Role::attention_out;  ///< attention_out or down
  const Norm* after = nullptr;        ///< post-norm models: the norm that follows the sum; else nullptr
};

/// Keys and values that a method puts before the sequences of a layer.
struct Prefix {
  KeyValue rows;  ///< [N, kv_heads * head_dim] each, of any floating type; keys are not rotated again
  std::vector<KeyRun>
      runs;  ///< [S] the rows of each sequence and their positions (source is filled in by the model)
};

/// Where a method can act on a model. Every default means "the plain model". A family asks all of them and
/// knows no method; a method overrides what it needs and knows no family.
struct Hooks {
  virtual ~Hooks() = default;

  /// Changes the token level before the pass: inserts virtual rows where a sequence starts (its first
  /// position is 0), moves positions and targets. A sequence that starts at a later position is continued
  /// from a cache.
  virtual void layout(Batch& batch) const;

  /// False when new rows alone cannot follow those of an earlier pass: generation then computes whole
  /// sequences instead of caching keys and values.
  virtual bool can_cache() const { return true; }

  /// The rows [T, d] that enter the first layer, from those of the embedding for the batch's ids (zeros for
  /// virtual tokens), in the stream's type.
  virtual at::Tensor embed(const Context& context, const Embedding& embedding, at::Tensor rows) const;

  /// The fast path: y = g*(W(l*x) + b) + s B(A x) + c, any subset; rows are those of the module itself (begin
  /// 0).
  virtual std::optional<Patch> patch(const Context& context, const Module& module) const;

  /// The escape hatch around a whole (possibly fused) product; `next` computes what would be computed without
  /// this hook.
  using Next = std::function<at::Tensor(const at::Tensor& x)>;
  virtual at::Tensor linear(const Context& context, const Linear& linear, const at::Tensor& x,
                            const Next& next) const;

  /// The value of a base tensor that the method's plan called trained or generated.
  virtual at::Tensor weight(const Context& context, const TensorRef& tensor) const;

  /// Keys and values before each sequence.
  virtual std::optional<Prefix> prefix(const Context& context, int layer) const;

  /// What is added to the stream at the end of a branch. `in`: the stream where the branch began; `out`: the
  /// branch's output.
  virtual at::Tensor branch_end(const Context& context, const Site& site, const at::Tensor& in,
                                const at::Tensor& out) const;

  /// The hidden state after a layer; may insert rows (see `with_rows_in_front`).
  virtual Packed layer_end(const Context& context, int layer, Packed hidden) const;
};

}  // namespace lowrank
