#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/builtins/callable.h"
#include "tokenizer/jinja/iteration_trace.h"
#include "tokenizer/jinja/rendering.h"
#include "tokenizer/jinja/syntax/program.h"
#include "tokenizer/jinja/values/calendar_time.h"

namespace lowrank::jinja {

/// How a statement ends: `leave` and `next` are carried to the loop around.
enum class Flow : uint8_t { onward, leave, next };

/// Runs a program once. The heap outlives it.
class Evaluator {
 public:
  Evaluator(const Program& program, Heap& heap, const CalendarTime& now);

  /// Gives a variable of the program its value.
  void set_variable(const std::string& name, Value value);

  /// Errors: those of the operations, without a place, which `offset` tells.
  Rendering run();

  /// Where in the source the last operation stands.
  uint32_t offset() const { return offset_; }

 private:
  class Level;
  class Buffer;

  // Expressions.
  Value evaluate(const Expression& expression);
  Value evaluate_name(const Expression& expression);
  Value evaluate_attribute(const Expression& expression);
  Value evaluate_subscript(const Expression& expression);
  Value evaluate_slice(const Expression& expression);
  Value evaluate_row(const Expression& expression, Row row);
  Value evaluate_dict(const Expression& expression);
  Value evaluate_arithmetic(const Expression& expression);
  Value evaluate_concatenation(const Expression& expression);
  Value evaluate_comparison(const Expression& expression);
  Value evaluate_condition(const Expression& expression);
  Value evaluate_filter(const Expression& expression);
  Value evaluate_test(const Expression& expression);
  Value evaluate_call(const Expression& expression, const Value* caller = nullptr);
  void arguments(const Expression& expression, Call& call);
  void observe(const Expression& index, const Value& key, const Value& item);
  void make_constants();

  // Calls.
  Value call_value(const Value& callee, Call& call);
  Value call_macro(const Callable& macro, const Call& call);
  Value call_function(Function function, const Call& call);
  Value call_loop(const Value& loop, const Call& call);
  Value call_loop_method(const Callable& method, const Call& call);
  void bind_macro(const Statement& macro, const Call& call, Scope& scope);
  Value make_macro(const Statement& statement);
  Value raise_exception(const Call& call);
  void define_functions();

  // Statements.
  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow execute_choice(const Statement& statement);
  Flow execute_set_block(const Statement& statement);
  Flow execute_filter_block(const Statement& statement);
  Flow execute_with(const Statement& statement);
  void execute_generation(const Statement& statement);
  void execute_call(const Statement& statement);
  Flow execute_loop(const Statement& statement, const Value& items, int depth);
  /// Whether an iteration came to its end: as in jinja2, `else` is for loops in which none did.
  bool execute_iterations(const Statement& statement, Loop& loop, const Value& loop_value);
  bool fetch(Loop& loop);
  void look_ahead(const Value& loop, std::string_view attribute);
  void assign(const Expression& target, const Value& value);
  void write(const Value& value);

  /// Length of the output so far; inside what becomes a value, its length when that began.
  int64_t position() const { return buffered_ ? base_ : base_ + static_cast<int64_t>(out_->size()); }
  std::vector<Span> generation_spans() const;

  const Program& program_;
  Heap& heap_;
  const CalendarTime now_;
  Array<Value> constants_;
  Ref<Scope> scope_, top_;
  Text output_;
  Text* out_ = &output_;   ///< what is written to
  int64_t base_ = 0;       ///< bytes of the output before *out_
  bool buffered_ = false;  ///< *out_ becomes a value, not the next part of the output
  Value captured_;         ///< what the filters of a block are applied to
  IterationTrace trace_;
  Array<int64_t> empty_spans_;
  int32_t generations_ = 0;
  int nesting_ = 0, calls_ = 0;
  uint32_t offset_ = 0;
};

/// Counts one level of nested work.
class Evaluator::Level {
 public:
  explicit Level(Evaluator& evaluator);
  ~Level() { --evaluator_.nesting_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Evaluator& evaluator_;
};

/// Collects what is written while it lives, in a scope of its own inside `around`.
class Evaluator::Buffer {
 public:
  Buffer(Evaluator& evaluator, Ref<Scope> around, bool buffered = true);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  Text& text() { return text_; }

 private:
  Evaluator& evaluator_;
  Text text_;
  Text* out_;
  int64_t base_;
  bool buffered_;
  Ref<Scope> scope_;
};

}  // namespace lowrank::jinja
