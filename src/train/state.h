#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "peft/core/method.h"

namespace lowrank {

/// What a run has done so far.
struct RunResult {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  ///< of training steps
  int64_t evaluated_step = 0;            ///< the last step that was followed by an evaluation
  std::optional<double> best_eval_loss;
  int64_t best_step = 0;
  int64_t evaluations_since_best = 0;
  int64_t tokens = 0, target_tokens = 0;
  double seconds = 0;          ///< of all steps
  bool stopped_early = false;  ///< by `early_stop`
};

/// Everything that a run needs to resume where it stopped. The order of examples, dropout and the learning
/// rate are derived from (seed, step).
struct TrainState {
  int64_t step = 0;                ///< steps done
  at::Tensor values, m, v;         ///< [parameters] f32: the flat buffer and AdamW's moments
  std::vector<FileTensor> method;  ///< Method::state
  RunResult records;
  nlohmann::json identity;  ///< what the run's numbers depend on (train/run_identity.h)
};

/// Name of the state file in a checkpoint folder.
inline constexpr const char* state_name = "trainer_state.safetensors";

/// Writes one safetensors file, either complete or not at all. Errors: io.
void write_state(const std::filesystem::path& path, const TrainState& state);
/// Errors: not_found; corrupt when it is not a state file.
TrainState read_state(const std::filesystem::path& path);

/// Which run a state belongs to, and at which step.
struct StateHead {
  int64_t step = 0;
  nlohmann::json identity;
};

/// A state without its tensors. Errors: as read_state.
StateHead read_state_head(const std::filesystem::path& path);

}  // namespace lowrank
