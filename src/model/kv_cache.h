#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "kernels/operations/attention.h"
#include "model/sequence_layout.h"

namespace lowrank {

/// Keys and values of sequences that are being continued, for every layer, and the states that layers without
/// attention carry on. Keys' and values' rows lie in pages of a fixed
/// number of rows; each slot holds one sequence, whose rows fill its pages in order. Slots may share pages
/// that are full. In a cached pass, a batch's `examples` are slot numbers.
class KvCache {
 public:
  /// One page of `capacity` rows for each slot.
  KvCache(int64_t slots, int64_t capacity);
  /// `pages` pages, none of which belongs to a slot yet. Nothing is allocated before the first `append`,
  /// which knows layers and width; the system gives memory as pages are written.
  KvCache(int64_t slots, int64_t pages, int64_t page_rows);

  int64_t page_rows() const { return page_rows_; }
  int64_t length(int64_t slot) const { return slots_[slot].length; }
  /// Forgets a slot's rows; its pages remain its own.
  void clear(int64_t slot) { slots_[slot].length = 0; }
  /// Gives a slot these pages, whose first `length` rows hold its sequence already.
  void assign(int64_t slot, std::span<const int64_t> pages, int64_t length);

  /// The attention plan of a pass that appends `batch`: each sequence sees its slot, old rows and new, as key
  /// source 1; adjacent pages are one run of keys. Errors: invalid when a slot's pages would overflow.
  std::shared_ptr<const AttentionPlan> plan(const Batch& batch) const;

  /// Copies the keys and values of the new rows (columns of `qkv`, [T, (heads + 2 kv_heads) * head_dim])
  /// after each slot's rows and returns the layer's table, [pages * page_rows, kv_heads * head_dim] each.
  KeyValue append(int layer, const Batch& batch, const at::Tensor& qkv, const AttentionShape& shape);

  /// A state that a layer carries from pass to pass, [slots, sizes...], allocated when it is first asked for.
  /// A layer may have several, numbered by `part`, of the type and on the device of `form`. That of a slot of
  /// length 0 is not yet written: a sequence that starts anew. States are not in pages: slots with them
  /// cannot begin with rows of others.
  at::Tensor state(int layer, int part, at::IntArrayRef sizes, const at::TensorOptions& form);

  /// Copies the keys and values of the first `rows` rows of a page to another page, in all layers.
  void copy_page(int64_t from, int64_t to, int64_t rows);
  /// Gives slot `to` the states that slot `from` carries.
  void copy_states(int64_t from, int64_t to);

  /// Adds the batch's rows to the slots' lengths, once all layers have appended them.
  void advance(const Batch& batch);

  /// Bytes of a row of all layers, known after the first pass.
  int64_t row_bytes() const;

 private:
  struct Slot {
    std::vector<int64_t> pages;
    int64_t length = 0;  ///< rows
  };
  /// Calls `use(row in the tables, first row of the sequence, rows)` for the stretches of a slot's rows
  /// [begin, end) that lie in adjacent pages.
  template <class Use>
  void for_each_stretch(const Slot& slot, int64_t begin, int64_t end, const Use& use) const;
  /// The rows of a table to which `append` writes a batch's rows, int64 [T], on their device.
  at::Tensor places_of(const Batch& batch, const at::Tensor& rows) const;

  int64_t pages_, page_rows_;
  std::vector<Slot> slots_;
  std::vector<KeyValue> layers_;
  at::Tensor places_;                                 ///< of the pass that wrote last, on a device
  int last_layer_ = -1;                               ///< the layer that it wrote last
  std::map<std::pair<int, int>, at::Tensor> states_;  ///< by layer and part
};

}  // namespace lowrank
