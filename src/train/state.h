#pragma once

#include <cstdint>
#include <filesystem>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Everything that a run needs to go on where it stopped. Order of rows, dropout and learning rate derive
/// from (seed, step).
struct TrainState {
  int64_t step = 0;         ///< steps done
  at::Tensor values, m, v;  ///< [parameters] f32: the flat buffer and AdamW's moments
  double best_loss = 0;     ///< lowest evaluation loss so far; NaN before the first evaluation
  int64_t best_step = 0;
};

/// One safetensors file, complete or not there. Errors: io.
void write_state(const std::filesystem::path& path, const TrainState& state);
/// Errors: not_found; corrupt when it is no such file.
TrainState read_state(const std::filesystem::path& path);

}  // namespace lowrank
