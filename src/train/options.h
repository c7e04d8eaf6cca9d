#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lowrank {

/// How a run goes, whatever the method.
struct TrainOptions {
  double epochs = 3;
  std::optional<int64_t> steps;  ///< wins over epochs
  int64_t batch_size = 8;        ///< rows a micro-batch
  int64_t grad_accum = 1;        ///< micro-batches a step
  std::optional<double> lr;      ///< none: the method's
  std::string schedule = "linear";
  int64_t warmup = 0;
  double weight_decay = 0.01;
  double max_grad_norm = 1;  ///< 0: no clipping
  int64_t seed = 0;
  bool shuffle = true;
  int64_t eval_every = 0;               ///< steps; 0: at the end of each epoch
  int64_t save_every = 0;               ///< steps; 0: only the result
  int64_t keep = 0;                     ///< newest checkpoints that stay; 0: all
  bool share_prompts = true;            ///< what rows of a micro-batch begin with alike is computed once
  bool group_prompts = false;           ///< rows with the same prompt come one after the other
  bool gradient_checkpointing = false;  ///< layers are computed again for the gradient instead of kept
  bool profile = false;                 ///< time each operation of the steps after the first

  /// The options as fields that point into this value.
  std::vector<Field> fields();
};

}  // namespace lowrank
