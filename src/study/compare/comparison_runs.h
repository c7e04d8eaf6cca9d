#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/staged_folder.h"
#include "study/compare/compared_run.h"
#include "study/compare/comparison_options.h"
#include "study/compare/comparison_progress.h"
#include "study/compare/comparison_report.h"
#include "study/compare/comparison_tables.h"
#include "study/compare/run_store.h"

namespace lowrank {

/// All runs of a comparison: those that the folder has are taken, the others are made, each method's after
/// the search for its learning rate. After each run the tables and the page are written anew.
class ComparisonRuns {
 public:
  /// All must outlive the object.
  ComparisonRuns(const ComparisonOptions& options, const ComparisonPlan& plan, const ComparedTask& task,
                 const RunStore& store);

  /// Errors: interrupted, io; what goes wrong in a run is that run's problem.
  ComparisonReport to_the_end();
  /// What is finished so far.
  const ComparisonReport& report() const { return report_; }

 private:
  double work_left() const;
  std::vector<int64_t> sizes_of(const ComparedMethod& method) const;
  /// The work of a search that is already done.
  double searched(const ComparedMethod& method) const;

  void take_finished();
  void take_base();
  /// Drops the runs of a method that have another learning rate, since one that was added is better.
  void drop_outdated(const ComparedMethod& method, double rate);
  /// One run of a method is alone, so that its time and memory are the method's.
  void take_seeds(const ComparedMethod& method, double rate);
  /// Runs with these seeds in passes that they share.
  void take_runs(const ComparedMethod& method, const std::vector<int64_t>& seeds, double rate);
  void take_run(const ComparedMethod& method, int64_t seed, double rate);
  /// Moves a run's folder to its place and shows it in the tables.
  void keep(const RunRecord& record, StagedFolder& staged);
  StepSink sink() {
    return [this](const StepResult& step, int64_t total) { progress_.step(step, total); };
  }

  /// The learning rate of a method's runs; nullopt if all that were tried diverge.
  std::optional<double> rate_of(const ComparedMethod& method);
  /// Tries as many of these rates as are faster together; those that are left are tried one by one.
  void try_together(const ComparedMethod& method, const std::vector<double>& rates, int64_t round,
                    double share);
  RunRecord tried(const ComparedMethod& method, double rate, int64_t round, double share);
  /// Lower is better.
  std::optional<double> score_of(const RunRecord& record) const;

  /// The base is loaded when the first run needs it.
  ComparedRuns& runs();
  void write() { write_report(report_, options_.output); }

  const ComparisonOptions& options_;
  const ComparisonPlan& plan_;
  const ComparedTask& task_;
  const RunStore& store_;
  ComparisonReport report_;
  ComparisonProgress progress_;
  std::optional<ComparedRuns> runs_;
};

}  // namespace lowrank
