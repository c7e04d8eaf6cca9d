#pragma once

#include <cstdint>
#include <span>

#include "model/embeddings/text_vectors.h"
#include "model/model.h"
#include "train/contrastive/contrastive_options.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

/// What the passes of a training step share.
struct StepPasses {
  const Model& model;
  const Hooks& hooks;
  uint64_t dropout_seed = 0;  ///< of the step
  FactorStacks* stacks = nullptr;
  bool recompute = false;
  /// The number of each batch in the step, where these are a rank's share of them; empty: 0, 1, ...
  std::span<const int64_t> numbers = {};
  int64_t batches_of_step = 0;       ///< over all ranks; 0: those that are given
  const RankGroup* ranks = nullptr;  ///< over which the texts of each batch are divided
};

/// The mean of the batches' losses, and leaves its gradient in the trained parameters. The texts of a batch
/// are compared with each other; a pass computes `mini_batch_size` of them. Where a batch has more, its
/// vectors are first computed without a graph, then the loss and its gradient with respect to them, and then
/// each part again with that gradient: memory is that of one part, and the gradient is the same (GradCache:
/// Gao et al. 2021, arXiv 2101.06983). `batches`: of make_text_batch. Where ranks divide the texts, each
/// computes its own in this way and gives their vectors to all: the loss is then that of the whole batch on
/// each rank, and the gradient the part that its own texts have in it.
double contrastive_backward(std::span<const Batch> batches, const StepPasses& passes,
                            const ContrastiveRun& run);

}  // namespace lowrank
