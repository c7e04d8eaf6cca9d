#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"
#include "model/embedding.h"
#include "model/hooks.h"
#include "peft/core/method.h"

namespace lowrank {

/// Trained embedding rows, each for one token, that replace the base's (PEFT's `trainable_token_indices`). A
/// head tied to the embedding follows.
class TokenRows {
 public:
  /// Errors: invalid for ids outside the vocabulary or duplicate ids.
  void plan(const ModelSpec& spec, const std::vector<int64_t>& tokens, TrainPlan& plan);
  void bind(const ParameterSet& parameters);
  /// Takes the base's rows, which `initialise` and the patch on a tied head need.
  void read_base(const Checkpoint& base);
  /// Sets the values to the base's rows; after `read_base`.
  void initialise() const;

  bool empty() const { return tokens_.empty(); }

  /// `rows` [T, d], those of the batch's tokens, with the trained ones replaced.
  at::Tensor replace(const at::Tensor& rows, const std::vector<int64_t>& tokens, double scale) const;
  /// The patch with which a tied head's product follows: logits[tokens] += (rows - base's rows) x.
  std::optional<Patch> head_patch(const Module& module) const;
  /// The matrix of the embedding, or of a head tied to it, with the trained rows.
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& weight) const;
  bool changes(const TensorRef& tensor) const;

 private:
  std::vector<int64_t> tokens_;
  const TensorRef* embedding_ = nullptr;
  bool tied_ = false;
  int64_t vocabulary_ = 0;
  std::string key_;
  at::Tensor rows_;       ///< [n, d]
  at::Tensor file_rows_;  ///< [n, d]
  at::Tensor choice_;     ///< [V, n], one 1 in each column
};

}  // namespace lowrank
