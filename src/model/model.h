#pragma once

#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "kernels/packed_weight.h"
#include "kernels/target_loss.h"
#include "model/embedding.h"
#include "model/hooks.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/spec.h"

namespace lowrank {

/// What a method does with a base tensor.
enum class Use { frozen, trained, generated };

/// How a model is held in memory.
struct LoadOptions {
  at::ScalarType compute =
      at::kFloat;  ///< type of products and of what is stored between them: f32, bf16 (f64 in tests)
  BaseMemory memory = BaseMemory::fast;
  bool nf4 = false;       ///< frozen weights of linear layers but the head are rounded to NF4 (kernels/nf4.h)
  bool training = false;  ///< input gradients are needed
  std::function<Use(const TensorRef&)> use = nullptr;  ///< from the method's plan; none: everything is frozen

  Use use_of(const TensorRef& tensor) const { return use ? use(tensor) : Use::frozen; }
};

/// A causal language model of some family.
struct Model {
  virtual ~Model() = default;
  virtual const ModelSpec& spec() const = 0;
  virtual const Embedding& embedding() const = 0;
  virtual const Head& head() const = 0;

  /// The batch's last hidden state after the final norm, [T', d] in the compute type. The batch has been
  /// through `hooks.layout`. With a cache, the new rows' keys and values are appended to it.
  virtual Packed forward(const Context& context, const Hooks& hooks, KvCache* cache) const = 0;
};

/// Sum over the batch's targets of weight * negative log-likelihood, and each target's own value.
TargetLoss batch_loss(const Model& model, const Context& context, const Hooks& hooks);

/// Logits (f32) of the given rows of the batch: [rows.size(), vocabulary].
at::Tensor batch_logits(const Model& model, const Context& context, const Hooks& hooks,
                        std::span<const int64_t> rows, KvCache* cache);

}  // namespace lowrank
