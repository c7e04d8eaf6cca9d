#include "study/measured_run.h"

#include "base/interrupt.h"
#include "train/example_trainer.h"

namespace lowrank {

Evaluation evaluate_at_start(const Model& model, Adapter& adapter, const ExampleStore& evaluation,
                             const TrainOptions& options) {
  return evaluate(model, InferenceHooks(adapter), evaluation, options.rows_per_batch());
}

MeasuredRun measured_run(const Model& model, Adapter& adapter, const WeightedExamples& train,
                         const ExampleStore& evaluation, const TrainOptions& options,
                         const std::function<void(const StepResult&, int64_t total)>& after_step) {
  MeasuredRun run;
  ExampleTrainer trainer(model, adapter, train, options);
  while (!trainer.done()) {
    throw_if_interrupted();
    const StepResult step = trainer.step();
    run.seconds += step.seconds;
    run.tokens += step.tokens;
    run.steps = step.step;
    after_step(step, trainer.total_steps());
  }
  adapter.method->begin_step({trainer.total_steps(), trainer.total_steps()});
  run.evaluation = evaluate(model, InferenceHooks(adapter), evaluation, options.rows_per_batch());
  return run;
}

}  // namespace lowrank
