#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "data/batch.h"
#include "model/model.h"

namespace lowrank {

/// A micro-batch after its pass through the model.
struct ScoredBatch {
  const Batch& given;      ///< as its source gave it
  const Batch& laid_out;   ///< as the model saw it, with rows and targets that the method inserted
  const TargetLoss& loss;  ///< of the targets of `laid_out`, in their order; `nll` is differentiable
};

/// Figures of a step by name, besides its loss: summed over its terms, reported as means.
using Figures = std::map<std::string, double>;

/// What a run minimises: the mean over a step's terms, however they are split into micro-batches. A term is a
/// target, or whatever else the loss sums over, such as a pair of examples.
struct Objective {
  virtual ~Objective() = default;

  /// Number of terms in a micro-batch; added up over the whole step before its first pass.
  virtual int64_t terms(const Batch& laid_out) const = 0;

  /// Sum of the micro-batch's terms: a differentiable scalar of the nll's type.
  virtual at::Tensor sum(const ScoredBatch& batch, Figures& figures) const = 0;
};

/// Mean over targets of weight * negative log-likelihood (regression: squared error).
struct MeanLoss final : Objective {
  int64_t terms(const Batch& laid_out) const override { return laid_out.targets.count(); }
  at::Tensor sum(const ScoredBatch& batch, Figures&) const override { return batch.loss.loss; }
};

}  // namespace lowrank
