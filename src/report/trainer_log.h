#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "report/event_file.h"

// The records of a run (entries of its metrics.jsonl) as the Trainer of transformers 5 logs them.
namespace lowrank {

/// Turns records into log entries: every `every` steps one with the mean loss since the last, and the norm of
/// the gradient, the learning rate and the epoch of its step; one for each evaluation.
class TrainerLog {
 public:
  explicit TrainerLog(int64_t every) : every_(every) {}

  /// Takes the next record; returns the log entry that is due after it, if any.
  std::optional<nlohmann::json> take(const nlohmann::ordered_json& record);

 private:
  int64_t every_;
  int64_t steps_ = 0;                   ///< since the last entry
  std::map<std::string, double> sums_;  ///< of their losses and further figures
};

/// A log entry as values of TensorBoard's curves, named as TensorBoardCallback names them: `train/loss`,
/// `eval/loss`.
std::vector<EventScalar> event_scalars(const nlohmann::json& entry);

/// What trainer_state.json says of a run besides its records.
struct TrainerFacts {
  int64_t total_steps = 0, log_every = 1, eval_every = 0, save_every = 0;
  int64_t batch_size = 0;         ///< examples per micro-batch
  int64_t examples_per_step = 0;  ///< of all its micro-batches
  double epochs = 0;              ///< asked for
  int64_t parameters = 0;         ///< outside embeddings, for `total_flos`: 6 of each per token
  std::optional<double> best_loss = {};
  int64_t best_step = 0;
  std::string best_place = {};  ///< folder of the best adapter
};

/// The log entry at the end of a run: mean loss of all steps, time, speed.
nlohmann::json final_log_entry(const std::vector<nlohmann::ordered_json>& records, const TrainerFacts& facts);

/// trainer_state.json. `finished`: with the entry at the end of a run.
nlohmann::json trainer_state(const std::vector<nlohmann::ordered_json>& records, const TrainerFacts& facts,
                             bool finished);

}  // namespace lowrank
