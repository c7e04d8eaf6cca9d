#pragma once

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "kernels/operations/row_sequences.h"
#include "model/hooks.h"
#include "model/kv_cache.h"

namespace lowrank {

/// How the rows of a layer follow each other: the sequences of its layout, and which of them continue others.
RowSequences row_sequences(const Place& place);

/// One of a layer's states while sequences are continued.
class CarriedState {
 public:
  /// As KvCache::state.
  CarriedState(KvCache& cache, const Place& place, int part, at::IntArrayRef sizes,
               const at::TensorOptions& form);

  /// What the sequences of the batch begin with, [S, sizes...]: zeros for those that start anew.
  at::Tensor begin() const;
  /// Keeps what they end with, [S, sizes...], for the next pass.
  void end(const at::Tensor& states);

 private:
  const KvCache& cache_;
  const Batch& batch_;
  at::Tensor table_, slots_;
};

/// The last `before.size(1)` rows of each sequence, [S, count, C]: of `before` [S, count, C] and its rows in
/// x [T, C] behind it.
at::Tensor last_rows(const at::Tensor& before, const at::Tensor& x, const RowSequences& sequences);

}  // namespace lowrank
