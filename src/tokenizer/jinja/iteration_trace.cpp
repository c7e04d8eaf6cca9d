#include "tokenizer/jinja/iteration_trace.h"

#include <algorithm>
#include <utility>

namespace lowrank::jinja {
namespace {

int message_of(const Value& value) {
  return value.is(Kind::dict) ? value.dict().message : -1;
}

/// The message among the values that a loop binds: the item, or a part of it.
int message_among(const Value& item) {
  if (!item.is(Kind::sequence)) return message_of(item);
  for (const Value& part : item.sequence().items) {
    if (const int message = message_of(part); message >= 0) return message;
  }
  return -1;
}

}  // namespace

void IterationTrace::begin(int32_t variable, const Value& item, int64_t position, bool buffered) {
  Open open;
  open.variable = variable;
  open.is_number = item.is(Kind::integer);
  open.number = open.is_number ? item.integer() : 0;
  open.order = begun_++;
  open.iteration = {variable < 0 ? message_among(item) : message_of(item), position, position,
                    static_cast<int>(open_.size()), buffered};
  open_.push_back(open);
}

void IterationTrace::end(int64_t position) {
  Open open = open_.back();
  open_.pop_back();
  if (open.iteration.message < 0) return;
  open.iteration.end = position;
  iterations_.push_back({open.order, open.iteration});
}

void IterationTrace::read_by_variable(int32_t variable, const Value& index, const Value& item) {
  const int message = message_of(item);
  if (message < 0 || !index.is(Kind::integer)) return;
  for (size_t i = open_.size(); i > visible_; --i) {
    Open& open = open_[i - 1];
    if (open.variable != variable) continue;
    if (open.is_number && open.number == index.integer() && open.iteration.message < 0)
      open.iteration.message = message;
    return;
  }
}

void IterationTrace::read_by_loop(const Value& item) {
  const int message = message_of(item);
  if (message < 0 || open_.size() <= visible_) return;
  if (open_.back().iteration.message < 0) open_.back().iteration.message = message;
}

size_t IterationTrace::enter_macro() {
  return std::exchange(visible_, open_.size());
}

std::vector<Iteration> IterationTrace::take() const {
  std::vector<Done> done(iterations_.begin(), iterations_.end());
  std::sort(done.begin(), done.end(), [](const Done& a, const Done& b) { return a.order < b.order; });
  std::vector<Iteration> result;
  for (const Done& one : done) result.push_back(one.iteration);
  return result;
}

}  // namespace lowrank::jinja
