#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/model.h"
#include "text/batch.h"

namespace lowrank {

/// A micro-batch after its pass through the model.
struct ScoredBatch {
  const Batch& given;      ///< as its source gave it
  const Batch& laid_out;   ///< as the model saw it, with rows and targets that the method put in
  const TargetLoss& loss;  ///< of the targets of `laid_out`, in their order; `nll` is differentiable
};

/// Figures of a step by name, beside its loss: sums over its terms, told as means.
using Figures = std::map<std::string, double>;

/// What a run makes smaller: the mean over a step's terms, whatever its micro-batches. A term is a target or
/// what else the loss is a sum over, a pair of rows say.
struct Objective {
  virtual ~Objective() = default;

  /// Terms that a micro-batch has; counted over all of a step before its first pass.
  virtual int64_t terms(const Batch& laid_out) const = 0;

  /// Sum of the micro-batch's terms: a scalar in the type of the nll, from which the gradient runs back.
  virtual at::Tensor sum(const ScoredBatch& batch, Figures& figures) const = 0;
};

/// Mean over targets of weight * negative log-likelihood (of values: squared error).
struct MeanLoss final : Objective {
  int64_t terms(const Batch& laid_out) const override { return laid_out.targets.count(); }
  at::Tensor sum(const ScoredBatch& batch, Figures&) const override { return batch.loss.loss; }
};

}  // namespace lowrank
