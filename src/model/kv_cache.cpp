#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "kernels/core/device.h"

namespace lowrank {
namespace {

/// Copies `count` rows of `bytes` bytes each.
void copy_rows(std::byte* to, int64_t to_stride, const std::byte* from, int64_t from_stride, int64_t count,
               int64_t bytes) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, bytes);
}

}  // namespace

KvCache::KvCache(int64_t slots, int64_t capacity) : KvCache(slots, slots, capacity) {
  for (int64_t slot = 0; slot < slots; ++slot) slots_[slot].pages = {slot};
}

KvCache::KvCache(int64_t slots, int64_t pages, int64_t page_rows)
    : pages_(pages), page_rows_(page_rows), slots_(slots) {}

void KvCache::assign(int64_t slot, std::span<const int64_t> pages, int64_t length) {
  slots_[slot] = {{pages.begin(), pages.end()}, length};
}

template <class Use>
void KvCache::for_each_stretch(const Slot& slot, int64_t begin, int64_t end, const Use& use) const {
  while (begin < end) {
    const auto first = static_cast<size_t>(begin / page_rows_);
    size_t last = first;
    const auto until = [&] { return std::min(end, static_cast<int64_t>(last + 1) * page_rows_); };
    while (until() < end && slot.pages[last + 1] == slot.pages[last] + 1) ++last;
    use(slot.pages[first] * page_rows_ + begin % page_rows_, begin, until() - begin);
    begin = until();
  }
}

std::shared_ptr<const AttentionPlan> KvCache::plan(const Batch& batch) const {
  auto plan = std::make_shared<AttentionPlan>();
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const Slot& slot = slots_[batch.examples[s]];
    const int64_t begin = batch.offsets[s];
    const int64_t count = batch.offsets[s + 1] - begin;
    const int64_t total = slot.length + count, capacity = std::ssize(slot.pages) * page_rows_;
    check(total <= capacity, ErrorKind::invalid, "sequence {} has {} tokens, the cache holds {}",
          batch.examples[s], total, capacity);
    const int64_t position = batch.positions[begin];
    const auto first_run = std::ssize(plan->keys);
    for_each_stretch(slot, 0, total, [&](int64_t row, int64_t first, int64_t rows) {
      plan->keys.push_back({1, row, rows, position - slot.length + first});
    });
    plan->queries.push_back({begin, count, position, first_run, std::ssize(plan->keys) - first_run});
  }
  return plan;
}

at::Tensor KvCache::places_of(const Batch& batch, const at::Tensor& rows) const {
  std::vector<int64_t> places;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const Slot& slot = slots_[batch.examples[s]];
    const int64_t end = slot.length + batch.offsets[s + 1] - batch.offsets[s];
    for_each_stretch(slot, slot.length, end, [&](int64_t row, int64_t, int64_t count) {
      for (int64_t i = 0; i < count; ++i) places.push_back(row + i);
    });
  }
  return indices_for(rows, places);
}

KeyValue KvCache::append(int layer, const Batch& batch, const at::Tensor& qkv, const AttentionShape& shape) {
  const int64_t width = shape.kv_heads * shape.head_dim;
  if (static_cast<int>(layers_.size()) <= layer) layers_.resize(layer + 1);
  KeyValue& table = layers_[layer];
  if (!table.k.defined()) {
    const int64_t rows = pages_ * page_rows_;
    table = {at::empty({rows, width}, qkv.options()), at::empty({rows, width}, qkv.options())};
  }
  if (!on_cpu(qkv)) {
    // The layers of a pass come in their order, and all write to the same places.
    if (layer <= last_layer_ || !places_.defined()) places_ = places_of(batch, qkv);
    last_layer_ = layer;
    const int64_t keys = shape.heads * shape.head_dim;
    table.k.index_copy_(0, places_, qkv.narrow(1, keys, width));
    table.v.index_copy_(0, places_, qkv.narrow(1, keys + width, width));
    return table;
  }
  const at::Tensor rows = qkv.stride(1) == 1 ? qkv : qkv.contiguous();
  const int64_t size = qkv.element_size(), bytes = width * size, stride = rows.stride(0) * size;
  const auto* keys =
      static_cast<const std::byte*>(rows.const_data_ptr()) + shape.heads * shape.head_dim * size;
  auto* k = static_cast<std::byte*>(table.k.mutable_data_ptr());
  auto* v = static_cast<std::byte*>(table.v.mutable_data_ptr());
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const Slot& slot = slots_[batch.examples[s]];
    const int64_t begin = batch.offsets[s];
    const int64_t end = slot.length + batch.offsets[s + 1] - begin;
    for_each_stretch(slot, slot.length, end, [&](int64_t row, int64_t first, int64_t count) {
      const std::byte* from = keys + (begin + first - slot.length) * stride;
      copy_rows(k + row * bytes, bytes, from, stride, count, bytes);
      copy_rows(v + row * bytes, bytes, from + bytes, stride, count, bytes);
    });
  }
  return table;
}

at::Tensor KvCache::state(int layer, int part, at::IntArrayRef sizes, const at::TensorOptions& form) {
  at::Tensor& state = states_[{layer, part}];
  if (!state.defined()) {
    std::vector<int64_t> all{std::ssize(slots_)};
    all.insert(all.end(), sizes.begin(), sizes.end());
    state = at::empty(all, form);
  }
  return state;
}

void KvCache::copy_page(int64_t from, int64_t to, int64_t rows) {
  for (KeyValue& layer : layers_) {
    for (at::Tensor* table : {&layer.k, &layer.v}) {
      if (!table->defined()) continue;
      if (!on_cpu(*table)) {
        table->narrow(0, to * page_rows_, rows).copy_(table->narrow(0, from * page_rows_, rows));
        continue;
      }
      const int64_t bytes = table->size(1) * table->element_size(), page = page_rows_ * bytes;
      auto* data = static_cast<std::byte*>(table->mutable_data_ptr());
      std::memcpy(data + to * page, data + from * page, rows * bytes);
    }
  }
}

void KvCache::copy_states(int64_t from, int64_t to) {
  for (auto& [place, states] : states_) states[to].copy_(states[from]);
}

void KvCache::advance(const Batch& batch) {
  for (int64_t s = 0; s < batch.sequences(); ++s)
    slots_[batch.examples[s]].length += batch.offsets[s + 1] - batch.offsets[s];
}

int64_t KvCache::row_bytes() const {
  int64_t bytes = 0;
  for (const KeyValue& table : layers_) {
    if (table.k.defined()) bytes += table.k.element_size() * (table.k.size(1) + table.v.size(1));
  }
  return bytes;
}

}  // namespace lowrank
