#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// Options of a run that do not depend on the method.
struct TrainOptions {
  double epochs = 3;
  std::optional<int64_t> steps;  ///< overrides epochs
  int64_t batch_size = 8;        ///< examples per micro-batch
  int64_t grad_accum = 1;        ///< micro-batches per step
  std::optional<double> lr;      ///< none: the method's default
  std::string schedule = "linear";
  int64_t warmup = 0;
  double weight_decay = 0.01;
  double max_grad_norm = 1;  ///< 0: no clipping
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
  bool profile = false;                 ///< time each operation of the steps after the first

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

}  // namespace lowrank
