#include "data/order/early_order.h"

#include <utility>

#include "data/order/epoch_order.h"

namespace lowrank {

EarlyOrder::EarlyOrder(std::shared_ptr<EarlyExamples> rows, uint64_t seed, bool shuffled)
    : rows_(std::move(rows)), order_(epoch_order(rows_->rows(), seed, 0, shuffled)) {}

void EarlyOrder::rewind() {
  place_ = 0;
  next_.reset();
}

void EarlyOrder::look_ahead() {
  while (!next_ && place_ < std::ssize(order_)) {
    next_ = rows_->example(order_[place_]);
    if (!next_) ++place_;
  }
}

EarlyOrder::Taken EarlyOrder::take(int64_t count) {
  Taken taken;
  look_ahead();
  while (next_ && std::ssize(taken.rows) < count) {
    taken.rows.push_back(order_[place_++]);
    taken.examples.push_back(*std::exchange(next_, std::nullopt));
    taken.passed = place_;
    look_ahead();
  }
  if (!next_) taken.passed = std::ssize(order_);
  return taken;
}

}  // namespace lowrank
