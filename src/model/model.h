#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <ATen/core/Tensor.h>

#include "kernels/losses/target_loss.h"
#include "kernels/products/prepared_weight.h"
#include "model/embedding.h"
#include "model/hooks.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/spec.h"

namespace lowrank {

/// What a method does with a base tensor.
enum class TensorUse { frozen, trained, generated };

/// bf16 if the processor computes it fast, else f32.
at::ScalarType default_compute_type();

/// How a model is held in memory. The defaults are those of the program.
struct LoadOptions {
  /// Type of products and of the values stored between them: f32, bf16 (f64 in tests).
  at::ScalarType compute = default_compute_type();
  /// Where the model's tensors lie and its passes compute. On other devices than the CPU every frozen weight
  /// is kept as one copy there, whatever `memory` says.
  at::Device device = at::kCPU;
  std::optional<BaseMemory> memory = std::nullopt;  ///< none: `one`, or `small` with `nf4`
  bool nf4 = false;  ///< frozen linear weights except the head's are rounded to NF4 (kernels/products/nf4.h)
  bool training = false;  ///< input gradients are needed
  std::function<TensorUse(const TensorRef&)> use =
      nullptr;  ///< from the method's plan; none: everything is frozen
  /// Where else than in the mapped file the rows of a frozen linear weight are; for one that it returns no
  /// source for, and without it, in the file.
  std::function<RowSource(const TensorRef&)> rows_elsewhere = nullptr;

  TensorUse use_of(const TensorRef& tensor) const { return use ? use(tensor) : TensorUse::frozen; }
  BaseMemory base_memory() const { return memory.value_or(nf4 ? BaseMemory::small : BaseMemory::one); }
};

/// How a text's hidden states become one vector.
enum class Pooling { mean, first, last };

/// A model of some family: a causal language model, or an encoder with or without a label head.
struct Model {
  virtual ~Model() = default;
  virtual const ModelSpec& spec() const = 0;
  virtual const Embedding& embedding() const = 0;
  /// The head of a causal language model. Errors: unsupported for others.
  virtual const Head& head() const;

  /// The batch's last hidden state after the final norm, times the family's factor on the logits, [T', d] in
  /// the compute type (for an encoder, in the stream's type); with `Context::read`, only those rows. The
  /// batch has been through `hooks.layout`.
  /// With a cache, the new rows' keys and values are appended to it.
  virtual HiddenState forward(const Context& context, const Hooks& hooks, KvCache* cache) const = 0;

  /// What the label head reads of each sequence's last hidden states.
  virtual Pooling label_pooling() const { return Pooling::first; }

  /// The label head's output for the pooled last hidden state of each sequence: [S, d] -> [S, outputs] in the
  /// same type. Errors: unsupported for models without one.
  virtual at::Tensor label_scores(const Context& context, const Hooks& hooks, const at::Tensor& pooled) const;
};

/// Sum over the batch's targets of weight * negative log-likelihood (for values: squared error), and each
/// target's own value. `smoothing`: of targets and of single classes (kernels/losses/target_loss.h); other
/// losses have none.
TargetLoss batch_loss(const Model& model, const Context& context, const Hooks& hooks, double smoothing = 0);

/// The same from the label head's output for the batch's sequences, [S, outputs].
TargetLoss label_loss(const ModelSpec& spec, const at::Tensor& scores, const Targets& targets,
                      double smoothing = 0);

/// Logits (f32) of the given rows of the batch: [rows.size(), vocabulary].
at::Tensor batch_logits(const Model& model, const Context& context, const Hooks& hooks,
                        std::span<const int64_t> rows, KvCache* cache);

/// The label head's output for each sequence: [S, outputs], f32 (f64 in f64 models).
at::Tensor sequence_scores(const Model& model, const Context& context, const Hooks& hooks);

/// The last hidden states of each sequence as one vector: their mean over its tokens, or that of its first or
/// last row, [S, d], f32 (f64 in f64 models).
at::Tensor sequence_embeddings(const Model& model, const Context& context, const Hooks& hooks,
                               Pooling pooling);

}  // namespace lowrank
