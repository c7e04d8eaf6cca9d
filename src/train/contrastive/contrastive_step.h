#pragma once

#include <cstdint>
#include <span>

#include "model/embeddings/text_vectors.h"
#include "model/model.h"
#include "train/contrastive/contrastive_options.h"

namespace lowrank {

/// What the passes of a training step share.
struct StepPasses {
  const Model& model;
  const Hooks& hooks;
  uint64_t dropout_seed = 0;  ///< of the step
  FactorStacks* stacks = nullptr;
  bool recompute = false;
};

/// The mean of the batches' losses, and leaves its gradient in the trained parameters. The texts of a batch
/// are compared with each other; a pass computes `mini_batch_size` of them. Where a batch has more, its
/// vectors are first computed without a graph, then the loss and its gradient with respect to them, and then
/// each part again with that gradient: memory is that of one part, and the gradient is the same (GradCache:
/// Gao et al. 2021, arXiv 2101.06983). `batches`: of make_text_batch.
double contrastive_backward(std::span<const Batch> batches, const StepPasses& passes,
                            const ContrastiveRun& run);

}  // namespace lowrank
