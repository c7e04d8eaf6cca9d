#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "study/compare/compared_task.h"
#include "study/compare/run_memory.h"
#include "study/compare/run_record.h"
#include "study/loaded_base.h"
#include "train/trainer.h"

namespace lowrank {

/// One run of a comparison.
struct RunRequest {
  const ComparedMethod& method;
  int64_t seed = 0;
  double rate = 0;
  double share = 1;                   ///< of the budget
  bool measures_latency = false;      ///< else the time per token is left out
  std::filesystem::path folder = {};  ///< for the adapter; empty: a run of a search, which leaves none
};

/// Called after each step.
using StepSink = std::function<void(const StepResult& step, int64_t total)>;

/// The runs of a comparison, on one base that stays loaded.
class ComparedRuns {
 public:
  /// All must outlive the object.
  ComparedRuns(const ComparisonOptions& options, const ComparisonPlan& plan, const ComparedTask& task);

  /// Trains, evaluates and asks, and saves the adapter. A run that diverges gives a record that says so.
  /// Errors: interrupted; io; those of preparing the adapter.
  RunRecord run(const RunRequest& request, const StepSink& after_step);
  /// A short run that is only judged: by the validation loss, or by the first metric on these rows.
  RunRecord tried(const RunRequest& request, const StepSink& after_step);
  /// The base as it is.
  RunRecord base();

 private:
  TrainOptions budget_of(const RunRequest& request, Adapter& adapter);
  RunRecord blank(const RunRequest& request) const;
  void train(const RunRequest& request, Adapter& adapter, RunMemory& memory, RunRecord& record,
             const StepSink& after_step);
  void ask(const Model& model, const InferenceHooks& hooks, RunRecord& record);
  void measure_latency(const Adapter& adapter, const std::filesystem::path& folder, RunRecord& record);

  const ComparisonOptions& options_;
  const ComparisonPlan& plan_;
  const ComparedTask& task_;
  LoadedBase base_;
  std::optional<double> base_loss_, base_general_loss_;
};

}  // namespace lowrank
