#include "model/kv_cache.h"

#include <ATen/ops/empty.h>

#include "base/error.h"

namespace lowrank {

std::shared_ptr<const AttentionPlan> KvCache::plan(const Batch& batch) const {
  auto plan = std::make_shared<AttentionPlan>();
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int64_t slot = batch.examples[s];
    const int64_t begin = batch.offsets[s];
    const int64_t count = batch.offsets[s + 1] - begin;
    const int64_t total = lengths_[slot] + count;
    check(total <= capacity_, ErrorKind::invalid, "sequence {} has {} tokens, the cache holds {}", slot,
          total, capacity_);
    const int64_t position = batch.positions[begin];
    plan->queries.push_back({begin, count, position, static_cast<int64_t>(plan->keys.size()), 1});
    plan->keys.push_back({1, slot * capacity_, total, position - lengths_[slot]});
  }
  return plan;
}

KeyValue KvCache::append(int layer, const Batch& batch, const at::Tensor& qkv, const AttentionShape& shape) {
  const int64_t width = shape.kv_heads * shape.head_dim;
  if (static_cast<int>(layers_.size()) <= layer) layers_.resize(layer + 1);
  KeyValue& table = layers_[layer];
  if (!table.k.defined()) {
    const int64_t rows = static_cast<int64_t>(lengths_.size()) * capacity_;
    table = {at::empty({rows, width}, qkv.options()), at::empty({rows, width}, qkv.options())};
  }
  const at::Tensor keys = qkv.narrow(1, shape.heads * shape.head_dim, width);
  const at::Tensor values = qkv.narrow(1, shape.heads * shape.head_dim + width, width);
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int64_t slot = batch.examples[s];
    const int64_t begin = batch.offsets[s];
    const int64_t count = batch.offsets[s + 1] - begin;
    const int64_t row = slot * capacity_ + lengths_[slot];
    table.k.narrow(0, row, count).copy_(keys.narrow(0, begin, count));
    table.v.narrow(0, row, count).copy_(values.narrow(0, begin, count));
  }
  return table;
}

void KvCache::advance(const Batch& batch) {
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    lengths_[batch.examples[s]] += batch.offsets[s + 1] - batch.offsets[s];
  }
}

}  // namespace lowrank
