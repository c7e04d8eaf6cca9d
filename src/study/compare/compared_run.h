#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

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

/// Called with the record of each run that is done.
using RecordSink = std::function<void(const RunRequest& request, const RunRecord& record)>;

/// The runs of a comparison, on one base that stays loaded.
class ComparedRuns {
 public:
  /// All must outlive the object.
  ComparedRuns(const ComparisonOptions& options, const ComparisonPlan& plan, const ComparedTask& task);

  /// Trains, evaluates and asks, and saves the adapter. A run that diverges, or of which the method turns out
  /// to be impossible here (errors of the kinds invalid and unsupported), gives a record that says so.
  /// Errors: interrupted; io; corrupt.
  RunRecord run(const RunRequest& request, const StepSink& after_step);
  /// A short run that is only judged: by the validation loss, or by the first metric on these rows.
  RunRecord tried(const RunRequest& request, const StepSink& after_step);
  /// How many runs of this method are faster in passes that they share (train/together/joint_steps.h) than
  /// one after the other; 1: none are.
  int64_t together(const ComparedMethod& method);
  /// Several runs of one method in such passes: as `run`, or `tried` for those without a folder. Their
  /// records have no peak of memory, and of the time each its share. Errors: as run.
  void run_together(const std::vector<RunRequest>& requests, const StepSink& after_step,
                    const RecordSink& done);
  /// The base as it is.
  RunRecord base();

 private:
  struct Member;
  std::vector<std::unique_ptr<Member>> members_of(const std::vector<RunRequest>& requests);
  void train_together(const std::vector<Member*>& members, const StepSink& after_step);
  void evaluate_member(Member& member);
  /// The validation loss before the first step.
  double loss_before(Adapter& adapter, const TrainOptions& options);
  /// Measures what a search is judged by besides the loss.
  void judge(const Adapter& adapter, RunRecord& record);
  TrainOptions budget_of(const RunRequest& request, Adapter& adapter);
  RunRecord blank(const RunRequest& request) const;
  void train(const RunRequest& request, Adapter& adapter, RunMemory& memory, RunRecord& record,
             const StepSink& after_step);
  /// Saves and measures what was trained.
  void keep(const RunRequest& request, Adapter& adapter, RunRecord& record);
  void ask(const Model& model, const InferenceHooks& hooks, RunRecord& record);
  void measure_latency(const Adapter& adapter, const std::filesystem::path& folder, RunRecord& record);

  const ComparisonOptions& options_;
  const ComparisonPlan& plan_;
  const ComparedTask& task_;
  LoadedBase base_;
  std::optional<double> base_loss_, base_general_loss_;
};

}  // namespace lowrank
