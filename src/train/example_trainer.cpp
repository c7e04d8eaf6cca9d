#include "train/example_trainer.h"

#include "base/process.h"

namespace lowrank {

BatchLayout layout_of(const TrainOptions& options, const ModelSpec& spec, const Adapter& adapter) {
  return {spec.task, prefix_sharing_blocker(options, spec, adapter).empty(),
          spec.fixed_positions - adapter.plan.context_rows, options.contrastive.has_value()};
}

ExampleTrainer::ExampleTrainer(const Model& model, Adapter& adapter, const WeightedExamples& examples,
                               const TrainOptions& options)
    : source_(examples, options, layout_of(options, model.spec(), adapter)),
      contrastive_(options.contrastive),
      trainer_(model, adapter, options, plan_run(options, source_)) {}

RunPlan ExampleTrainer::plan() const {
  RunPlan plan = trainer_.plan();
  if (!plan.steps_per_epoch) plan.steps_per_epoch = source_.steps_per_epoch();
  return plan;
}

StepResult ExampleTrainer::step() {
  const double started = monotonic_seconds();
  const StepBatches batches = source_.batches(trainer_.steps_done());
  StepResult result =
      contrastive_ ? trainer_.step(batches, *contrastive_) : trainer_.step(batches, objective_);
  result.seconds = monotonic_seconds() - started;
  return result;
}

}  // namespace lowrank
