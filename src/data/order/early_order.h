#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/order/early_examples.h"

namespace lowrank {

/// Takes examples in the order of the first epoch while their rows are still being read.
class EarlyOrder {
 public:
  /// The order is that of `epoch_order` over all rows.
  EarlyOrder(std::shared_ptr<EarlyExamples> rows, uint64_t seed, bool shuffled);

  /// Examples that come one after the other.
  struct Taken {
    std::vector<Example> examples;
    std::vector<int64_t> rows;  ///< theirs
    int64_t passed = 0;         ///< rows in the order up to the last one, or all if no example follows
  };
  /// The next `count`, or as many as are left of the epoch. Errors: as EarlyExamples::example.
  Taken take(int64_t count);
  /// Begins anew.
  void rewind();

 private:
  void look_ahead();

  std::shared_ptr<EarlyExamples> rows_;
  std::vector<int64_t> order_;
  int64_t place_ = 0;            ///< in the order, of the next example; the end if there is none
  std::optional<Example> next_;  ///< once it was looked for
};

}  // namespace lowrank
