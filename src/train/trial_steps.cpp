#include "train/trial_steps.h"

#include <algorithm>

#include "base/interrupt.h"
#include "base/process.h"
#include "train/example_trainer.h"

namespace lowrank {

RunCost try_steps(const Model& model, Adapter& adapter, const WeightedExamples& examples,
                  const TrainOptions& options, const RunPlan& plan) {
  constexpr int64_t most_steps = 8;
  constexpr double enough_seconds = 10;
  ExampleTrainer trainer(model, adapter, examples, options);
  double seconds = 0, tokens = 0;
  StepResult last = trainer.step();
  for (int64_t step = 1; step < std::min(most_steps, plan.total_steps) && seconds < enough_seconds; ++step) {
    throw_if_interrupted();
    last = trainer.step();
    seconds += last.seconds;
    tokens += static_cast<double>(last.tokens);
  }
  if (tokens == 0) {
    seconds = last.seconds;
    tokens = static_cast<double>(last.tokens);
  }
  const double used = plan.epoch(plan.total_steps) * examples.epoch_tokens();
  return {peak_resident_bytes(), tokens / seconds, used * seconds / tokens};
}

}  // namespace lowrank
