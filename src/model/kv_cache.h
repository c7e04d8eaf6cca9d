#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "kernels/operations/attention.h"
#include "model/sequence_layout.h"

namespace lowrank {

/// Keys and values of sequences that are being continued: one slot per sequence and `capacity` rows per slot,
/// for every layer. In a cached pass, a batch's `examples` are slot numbers.
class KvCache {
 public:
  /// Nothing is allocated before the first `append`, which knows layers and width.
  KvCache(int64_t slots, int64_t capacity) : capacity_(capacity), lengths_(slots, 0) {}

  int64_t capacity() const { return capacity_; }
  int64_t length(int64_t slot) const { return lengths_[slot]; }
  /// Forgets a slot's rows.
  void clear(int64_t slot) { lengths_[slot] = 0; }

  /// The attention plan of a pass that appends `batch`: each sequence sees its slot, old rows and new, as key
  /// source 1. Errors: invalid when a slot would overflow its capacity.
  std::shared_ptr<const AttentionPlan> plan(const Batch& batch) const;

  /// Copies the keys and values of the new rows (columns of `qkv`, [T, (heads + 2 kv_heads) * head_dim])
  /// after each slot's rows and returns the layer's table, [slots * capacity, kv_heads * head_dim] each.
  KeyValue append(int layer, const Batch& batch, const at::Tensor& qkv, const AttentionShape& shape);

  /// Adds the batch's rows to the slots' lengths, once all layers have appended them.
  void advance(const Batch& batch);

 private:
  int64_t capacity_;
  std::vector<int64_t> lengths_;
  std::vector<KeyValue> layers_;
};

}  // namespace lowrank
