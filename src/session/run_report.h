#pragma once

#include <cstdint>
#include <span>

#include "data/order/weighted_examples.h"
#include "model/model.h"
#include "peft/files/adapter_file.h"
#include "train/options.h"
#include "train/run_plan.h"

namespace lowrank {

/// Bytes of f32 values, their gradients and AdamW's two moments.
int64_t state_bytes(int64_t parameters);

/// Number of values in a label head that is trained in full besides the method's own parameters.
int64_t head_count(const TrainPlan& plan, const ModelSpec& spec);

/// Logs what an adapter trains, and what that costs in computation, memory and context.
void report_plan(const Adapter& adapter, const ModelSpec& spec);

/// Logs the classes of a classifier, or that labels are values.
void report_labels(const ModelSpec& spec);

/// Logs what sharing prompts saves, or why they are not shared, and the estimated peak memory of a run over
/// `examples`; returns its plan. Turns `gradient_checkpointing` on where the memory would exceed
/// `memory_limit`. `not_mapped`: bytes of the files' weights that are read from elsewhere. Errors: as
/// plan_run; invalid if the memory exceeds the limit even so.
RunPlan report_run(const Model& model, const Adapter& adapter, const WeightedExamples& examples,
                   TrainOptions& options, const LoadOptions& load, int64_t not_mapped = 0);

}  // namespace lowrank
