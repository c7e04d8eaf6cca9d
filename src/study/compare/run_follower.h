#pragma once

#include <vector>

#include <c10/util/Exception.h>

#include "base/error.h"
#include "data/examples/example_store.h"
#include "peft/files/adapter_file.h"
#include "study/compare/run_record.h"
#include "train/trainer.h"

namespace lowrank {

/// Does the work of a run; what a method cannot do, losses that are not finite, and a GPU's memory that does
/// not do, are the run's problem, not the comparison's. Errors: all others, such as interrupted and io.
template <class Work>
void note_failure(RunRecord& record, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::invalid && error.kind() != ErrorKind::unsupported) throw;
    record.problem = error.what();
  } catch (const c10::OutOfMemoryError& error) {  // of a GPU
    record.problem = error.what_without_backtrace();
  }
}

/// Writes into a run's record what its steps tell: counts, the curve of the loss, and those of the
/// evaluations that `eval_every` asks for.
class RunFollower {
 public:
  /// All must outlive the object. `rows`: those of evaluations.
  RunFollower(RunRecord& record, const Model& model, const Adapter& adapter, const ExampleStore& rows,
              const TrainOptions& options)
      : record_(record), model_(model), adapter_(adapter), rows_(rows), options_(options) {}

  /// After a step of `total`. Errors: as evaluate.
  void step(const StepResult& step, int64_t total);
  /// After the last step, with the loss of the evaluation that ends the run.
  void end(double loss);
  /// The curve, once there are no more steps.
  void keep_curve();

 private:
  RunRecord& record_;
  const Model& model_;
  const Adapter& adapter_;
  const ExampleStore& rows_;
  const TrainOptions& options_;
  std::vector<CurvePoint> curve_;
};

}  // namespace lowrank
