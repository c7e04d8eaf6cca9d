#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/jinja/rendering.h"
#include "tokenizer/jinja/values/value.h"

namespace lowrank::jinja {

/// Notes which message each iteration of a loop treats.
class IterationTrace {
 public:
  explicit IterationTrace(Heap& heap) : iterations_(heap) {}

  /// An iteration begins: its variable (-1: several) has this value.
  void begin(int32_t variable, const Value& item, int64_t position, bool buffered);
  /// The innermost iteration ends.
  void end(int64_t position);

  /// `messages[index]` gave `item`; the index was this variable.
  void read_by_variable(int32_t variable, const Value& index, const Value& item);
  /// The same with `loop.index0` as index.
  void read_by_loop(const Value& item);

  /// Loops outside a macro are not visible in it. Returns what `leave_macro` needs.
  size_t enter_macro();
  void leave_macro(size_t outside) { visible_ = outside; }

  /// Those that treated a message, in the order in which they began.
  std::vector<Iteration> take() const;

 private:
  struct Open {
    int32_t variable = -1;
    int64_t number = 0;  ///< the variable's value
    bool is_number = false;
    int64_t order = 0;
    Iteration iteration;
  };
  struct Done {
    int64_t order = 0;
    Iteration iteration;
  };
  std::vector<Open> open_;
  size_t visible_ = 0;  ///< the first of open_ that the present macro can see
  int64_t begun_ = 0;
  Array<Done> iterations_;
};

}  // namespace lowrank::jinja
