#pragma once

#include "model/hooks.h"

namespace lowrank::test {

/// The places of one pass over a batch, for hooks that a test calls itself.
class PlacesIn {
 public:
  explicit PlacesIn(const Batch& batch, bool training = false, uint64_t dropout_seed = 0)
      : context_{&batch, training, dropout_seed}, geometry_(sequence_layout(batch)) {}

  Place layer(int number) const { return {context_, geometry_, number}; }

 private:
  Context context_;
  SequenceLayout geometry_;
};

/// A batch of no tokens, for hooks that look at none.
inline const Batch& no_tokens() {
  static const Batch batch{{}, {}, {0}, {}, {}, {}, {}};
  return batch;
}

}  // namespace lowrank::test
