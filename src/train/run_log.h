#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "report/trainer_log.h"
#include "train/evaluate.h"
#include "train/run_plan.h"
#include "train/trainer.h"

// What a run's records say: the objects of its metrics.jsonl (train/records/run_records.h), and the facts of
// its trainer_state.json.
namespace lowrank {

/// The record of a step: its figures, tokens per second and the most memory that the process has held.
nlohmann::ordered_json step_record(const StepResult& step);

/// How an evaluation was computed.
struct EvaluationWork {
  size_t examples = 0;
  int64_t rows_per_batch = 1;
  double seconds = 0;  ///< above 0
};

/// The record of an evaluation after a step; its figures have the prefix `eval_`, which transformers' Trainer
/// gives them. `epoch`: passes over the data so far.
nlohmann::ordered_json evaluation_record(const Evaluation& found, int64_t step, double epoch,
                                         const EvaluationWork& work);

/// The epoch of the last record in the lines of a metrics.jsonl, if it has one.
std::optional<double> last_epoch(const std::string& lines);

/// The parameters that the Trainer of transformers counts for its number of operations: those of the base
/// outside embeddings and those that the method adds to its modules; virtual tokens are none of them.
int64_t counted_parameters(const ModelSpec& spec, const TrainPlan& plan);

/// What trainer_state.json says of a run besides its records. `epoch_size`: examples per pass over the data;
/// `parameters`: as `counted_parameters` gives them; `best`: where the best adapter lies, if `result` has
/// one.
TrainerFacts trainer_facts(const TrainOptions& options, const RunPlan& plan, int64_t epoch_size,
                           int64_t parameters, const RunResult& result, const std::filesystem::path& best);

}  // namespace lowrank
