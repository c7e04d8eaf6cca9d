#pragma once

#include <memory>
#include <span>

#include <ATen/core/Tensor.h>

#include "kernels/products/prepared_weight.h"
#include "model/hooks.h"
#include "model/spec.h"

namespace lowrank {

class Checkpoint;
struct LoadOptions;

/// A table of rows by token id. A frozen one stays as it is in the file: rows are expanded when they are
/// looked up.
class Embedding {
 public:
  /// `scale` multiplies every row (1 for most families).
  Embedding(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options, const TensorRef& tensor,
            double scale = 1);

  const TensorRef& tensor() const { return *tensor_; }
  bool frozen() const { return frozen_; }
  double scale() const { return scale_; }

  /// Rows of the file's table, [ids.size(), d] in the stream's type; zeros for `virtual_token`.
  /// Errors: invalid for an id outside the vocabulary.
  at::Tensor look_up(std::span<const int64_t> ids) const;

  /// The same from a trained or generated table [V, d], differentiable.
  at::Tensor look_up(std::span<const int64_t> ids, const at::Tensor& table) const;

 private:
  std::shared_ptr<const Checkpoint> checkpoint_;
  const TensorRef* tensor_;
  bool frozen_;
  at::ScalarType type_;
  at::Device device_;
  double scale_;
};

/// The hidden state [T, d] that enters the first layer, laid out like the batch: the embedding's rows for its
/// tokens, passed through `Hooks::embed`.
HiddenState embedded(const Context& context, const Hooks& hooks, const Embedding& embedding);

/// The output projection: one row-major copy [V, d] in the compute type serves logits and gradient, or the
/// file's blocks serve logits.
struct Head {
  const Module* module = nullptr;
  const TensorRef* tensor = nullptr;
  at::Tensor rows;     ///< [V, d]; undefined when the method trains or generates it, or `blocks` are used
  double softcap = 0;  ///< c > 0: each logit y becomes c tanh(y / c)
  std::shared_ptr<const PreparedWeight> blocks = nullptr;  ///< multiplied as they lie in the file; else null
};

/// The head of the module `name`; its matrix is the embedding's if it is tied.
Head load_head(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& name);

/// The head's matrix in this pass: the file's or the method's.
at::Tensor weight_of(const Head& head, const Context& context, const Hooks& hooks);

}  // namespace lowrank
