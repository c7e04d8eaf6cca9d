#include "model/mixers/carried_state.h"

#include <algorithm>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>

#include "kernels/core/device.h"

namespace lowrank {

RowSequences row_sequences(const Place& place) {
  return {place.layout.offsets, place.context.batch->parents};
}

CarriedState::CarriedState(KvCache& cache, const Place& place, int part, at::IntArrayRef sizes,
                           const at::TensorOptions& form)
    : cache_(cache),
      batch_(*place.context.batch),
      table_(cache.state(place.layer, part, sizes, form)),
      slots_(indices_for(table_, batch_.examples)) {}

at::Tensor CarriedState::begin() const {
  at::Tensor states = table_.index_select(0, slots_);
  for (int64_t s = 0; s < batch_.sequences(); ++s) {
    if (cache_.length(batch_.examples[s]) == 0) states[s].zero_();
  }
  return states;
}

void CarriedState::end(const at::Tensor& states) {
  table_.index_copy_(0, slots_, states);
}

at::Tensor last_rows(const at::Tensor& before, const at::Tensor& x, const RowSequences& sequences) {
  const int64_t count = before.size(1);
  at::Tensor last = at::empty_like(before);
  for (int64_t s = 0; s < sequences.count(); ++s) {
    const int64_t own = std::min(count, sequences.offsets[s + 1] - sequences.offsets[s]);
    last[s].narrow(0, 0, count - own).copy_(before[s].narrow(0, own, count - own));
    last[s].narrow(0, count - own, own).copy_(x.narrow(0, sequences.offsets[s + 1] - own, own));
  }
  return last;
}

}  // namespace lowrank
