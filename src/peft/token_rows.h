#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"
#include "model/embedding.h"
#include "model/hooks.h"
#include "peft/method.h"

namespace lowrank {

/// Rows of the embedding that are trained, each for one token, in place of the file's (PEFT's
/// `trainable_token_indices`). A head that is tied to the embedding follows.
class TokenRows {
 public:
  /// Errors: invalid for ids outside the vocabulary or ids that stand twice.
  void plan(const ModelSpec& spec, const std::vector<int64_t>& tokens, TrainPlan& plan);
  void bind(const ParameterSet& parameters);
  /// Takes the file's rows, which the patch on a tied head needs.
  void attach(const Checkpoint& base);
  /// The file's rows as values; after `attach`.
  void initialise() const;

  bool empty() const { return tokens_.empty(); }

  /// `rows` [T, d], those of the batch's tokens, with the trained ones put in.
  at::Tensor replace(const at::Tensor& rows, const std::vector<int64_t>& tokens, double scale) const;
  /// What makes a tied head's product follow: logits[tokens] += (rows - file's rows) x.
  std::optional<Patch> head_patch(const Module& module) const;
  /// The embedding's matrix, and that of a head tied to it, with the rows in it.
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
