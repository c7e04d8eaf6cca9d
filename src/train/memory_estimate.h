#pragma once

#include <cstdint>

#include "model/checkpoint.h"
#include "model/model.h"
#include "peft/core/method.h"

namespace lowrank {

/// Rows and targets of a micro-batch.
struct BatchSize {
  int64_t tokens = 0, targets = 0;
};

/// Bytes of the base's files that a model without its own copy of the weights reads in each pass, and which
/// are then in memory as mapped pages; 0 for models with copies. Some may already be in memory.
int64_t mapped_bytes(const Checkpoint& base, const LoadOptions& options);

/// Bytes that training needs on top of what the process holds once model and parameters are loaded: gradients
/// and moments (f32), what the forward pass of a micro-batch keeps for the backward pass, and temporaries
/// (logits of targets, a layer's gradients, the libraries' own). `recompute`: layers keep only their inputs.
/// Meant to be no more than 5 % below the actual total, and within 20 % of it.
int64_t training_bytes(const ModelSpec& spec, const TrainPlan& plan, at::ScalarType compute,
                       const BatchSize& batch, bool recompute);

}  // namespace lowrank
