#pragma once

#include <cstdint>

#include "data/order/weighted_examples.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "train/options.h"
#include "train/run_plan.h"

namespace lowrank {

/// What a run will take, from steps that were tried.
struct RunCost {
  int64_t memory_bytes = 0;      ///< the process's peak so far: model, data and the tried steps
  double tokens_per_second = 0;  ///< of the tried steps after the first
  double seconds = 0;            ///< of all steps, without evaluations, checkpoints and samples
};

/// Takes a few steps of a run in memory, the first to warm up, and extrapolates. The adapter changes; nothing
/// is written. Errors: as Trainer::step; interrupted.
RunCost try_steps(const Model& model, Adapter& adapter, const WeightedExamples& examples,
                  const TrainOptions& options, const RunPlan& plan);

}  // namespace lowrank
