#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "train/contrastive/contrastive_options.h"
#include "train/ranks/rank_group.h"

namespace lowrank {

struct ModelSpec;

/// Options of a run that do not depend on the method.
struct TrainOptions {
  double epochs = 3;
  std::optional<int64_t> steps;             ///< overrides epochs
  std::optional<int64_t> batch_size;        ///< examples per micro-batch; none: as `rows_per_batch` says
  std::optional<int64_t> tokens_per_batch;  ///< most tokens per micro-batch, in place of `batch_size`
  int64_t grad_accum = 1;                   ///< micro-batches per step
  std::optional<double> lr;                 ///< none: the method's default
  std::string schedule = "linear";
  int64_t warmup = 0;
  double weight_decay = 0.01;
  double max_grad_norm = 1;    ///< 0: no clipping
  double label_smoothing = 0;  ///< of the loss that is trained (kernels/losses/target_loss.h)
  int64_t seed = 0;
  bool shuffle = true;
  int64_t log_every = 0;                ///< steps between entries of logs; 0: each step is one
  std::string report_to = "none";       ///< or `tensorboard`
  int64_t eval_every = 0;               ///< steps; 0: at the end of each epoch
  int64_t early_stop = 0;               ///< evaluations without improvement that end the run; 0: none do
  int64_t save_every = 0;               ///< steps; 0: only the result
  int64_t keep = 0;                     ///< newest checkpoints to keep; 0: all
  bool share_prompts = true;            ///< compute shared prefixes within a micro-batch once
  bool group_prompts = false;           ///< put examples with the same prompt next to each other
  bool gradient_checkpointing = false;  ///< recompute layers for the gradient instead of keeping them
  int64_t memory_limit = 0;  ///< MB that the run may take; layers are recomputed if need be; 0: none
  std::optional<ContrastiveRun> contrastive = {};  ///< set where rows are texts that are compared
  bool profile = false;                            ///< time each operation of the steps after the first
  /// The processes that share each step out among them, whose options are the same; none: this one alone.
  std::optional<RankGroup> ranks = {};

  /// Examples per micro-batch, where not tokens are counted.
  int64_t rows_per_batch() const { return batch_size.value_or(8); }
  /// Errors: invalid if both `batch_size` and `tokens_per_batch` are given.
  void check_batches() const;
  /// Errors: invalid if `label_smoothing` is given and the loss is none of tokens or single classes.
  void check_smoothing(const ModelSpec& spec) const;

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

}  // namespace lowrank
