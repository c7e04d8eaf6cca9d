#include "base/error.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/values/printing.h"

namespace lowrank::jinja {
namespace {

constexpr int32_t loop_symbol = 0;  // as parse_program numbers it

}  // namespace

Flow Evaluator::execute(const Body& body) {
  for (const Statement& statement : body) {
    if (const Flow flow = execute(statement); flow != Flow::onward) return flow;
  }
  return Flow::onward;
}

Flow Evaluator::execute(const Statement& statement) {
  const Level level(*this);
  offset_ = statement.offset;
  switch (statement.kind) {
    case StatementKind::text:
      write(constants_[static_cast<size_t>(statement.index)]);
      return Flow::onward;
    case StatementKind::print: {
      const Value value = evaluate(statement.expressions[0]);
      offset_ = statement.expressions[0].offset;
      write(value);
      return Flow::onward;
    }
    case StatementKind::choice:
      return execute_choice(statement);
    case StatementKind::loop: {
      const Value items = evaluate(statement.expressions[0]);
      offset_ = statement.expressions[0].offset;
      return execute_loop(statement, items, 0);
    }
    case StatementKind::set:
      assign(statement.targets[0], evaluate(statement.expressions[0]));
      return Flow::onward;
    case StatementKind::set_block:
      return execute_set_block(statement);
    case StatementKind::macro:
      scope_->set(statement.index, make_macro(statement));
      return Flow::onward;
    case StatementKind::call:
      execute_call(statement);
      return Flow::onward;
    case StatementKind::generation:
      execute_generation(statement);
      return Flow::onward;
    case StatementKind::filter_block:
      return execute_filter_block(statement);
    case StatementKind::with:
      return execute_with(statement);
    case StatementKind::leave:
      return Flow::leave;
    case StatementKind::next:
      return Flow::next;
  }
  return Flow::onward;
}

void Evaluator::write(const Value& value) {
  print(*out_, value);
  if (!buffered_) {
    check(position() <= heap_.limits().output_bytes, ErrorKind::invalid,
          "an output of more than {} bytes, the limit of this render", heap_.limits().output_bytes);
  }
}

Flow Evaluator::execute_choice(const Statement& statement) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    if (evaluate(statement.expressions[i]).truthy()) return execute(statement.bodies[i]);
  }
  return statement.bodies.size() > statement.expressions.size() ? execute(statement.bodies.back())
                                                                : Flow::onward;
}

void Evaluator::assign(const Expression& target, const Value& value) {
  offset_ = target.offset;
  if (target.kind == ExpressionKind::name) return scope_->set(target.index, value);
  if (target.kind == ExpressionKind::tuple) {
    const Ref<Sequence> parts = items_of(heap_, value);
    const size_t wanted = target.items.size(), given = parts->items.size();
    check(given <= wanted, ErrorKind::invalid, "too many values to unpack (expected {})", wanted);
    check(given == wanted, ErrorKind::invalid, "not enough values to unpack (expected {}, got {})", wanted,
          given);
    for (size_t i = 0; i < wanted; ++i) assign(target.items[i], parts->items[i]);
    return;
  }
  const Value space = evaluate_name(target.items[0]);
  check(space.is(Kind::space), ErrorKind::invalid, "cannot assign attribute on non-namespace object");
  check(!target.name.starts_with('_'), ErrorKind::invalid,
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'.",
        target.name);
  space.space().members->set(text_value(heap_, target.name), value);
}

Flow Evaluator::execute_set_block(const Statement& statement) {
  Value text;
  {
    Buffer buffer(*this, scope_);
    if (const Flow flow = execute(statement.bodies[0]); flow != Flow::onward) return flow;
    text = text_value(std::move(buffer.text()));
  }
  captured_ = std::move(text);
  assign(statement.targets[0], evaluate(statement.expressions[0]));
  return Flow::onward;
}

Flow Evaluator::execute_filter_block(const Statement& statement) {
  Value text;
  {
    Buffer buffer(*this, scope_);
    if (const Flow flow = execute(statement.bodies[0]); flow != Flow::onward) return flow;
    text = text_value(std::move(buffer.text()));
  }
  captured_ = std::move(text);
  write(evaluate(statement.expressions[0]));
  return Flow::onward;
}

Flow Evaluator::execute_with(const Statement& statement) {
  const Ref<Scope> outside = scope_, inside = heap_.make<Scope>(scope_);
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    inside->set(statement.targets[i].index, evaluate(statement.expressions[i]));
  }
  scope_ = inside;
  const Flow flow = execute(statement.bodies[0]);
  scope_ = outside;
  return flow;
}

void Evaluator::execute_generation(const Statement& statement) {
  const int32_t number = ++generations_;
  Value text;
  {
    Buffer buffer(*this, scope_, false);
    (void)execute(statement.bodies[0]);
    buffer.text().set_generation(number);
    if (buffer.text().empty() && !buffered_) empty_spans_.push_back(base_);
    text = text_value(std::move(buffer.text()));
  }
  write(text);
}

void Evaluator::execute_call(const Statement& statement) {
  const Value caller = make_macro(statement);
  write(evaluate_call(statement.expressions[0], &caller));
}

bool Evaluator::fetch(Loop& loop) {
  if (!loop.source) return false;
  const Ref<Scope> outside = scope_;
  while (loop.read < loop.source->items.size()) {
    const Value& item = loop.source->items[loop.read++];
    scope_ = heap_.make<Scope>(loop.scope);
    assign(loop.statement->targets[0], item);
    const bool passes = evaluate(loop.statement->expressions[1]).truthy();
    scope_ = outside;
    if (!passes) continue;
    loop.items->push(item);
    return true;
  }
  return false;
}

void Evaluator::look_ahead(const Value& value, std::string_view attribute) {
  auto& loop = static_cast<Loop&>(*value.object());
  const uint32_t offset = offset_;
  if (attribute == "last" || attribute == "nextitem") {
    if (loop.index + 1 >= loop.count()) fetch(loop);
  } else if (attribute == "length" || attribute == "revindex" || attribute == "revindex0") {
    while (fetch(loop)) {
    }
  }
  offset_ = offset;
}

Flow Evaluator::execute_loop(const Statement& statement, const Value& items, int depth) {
  const Ref<Loop> loop = heap_.make<Loop>();
  loop->items = items_of(heap_, items);
  loop->statement = &statement;
  loop->scope = scope_;
  loop->depth = depth;
  if (statement.expressions.size() > 1) {
    loop->source = loop->items;
    loop->items = heap_.make<Sequence>();
  }
  const Ref<Scope> outside = scope_;
  const bool completed = execute_iterations(statement, *loop, loop);
  Flow flow = Flow::onward;
  if (!completed && statement.bodies.size() > 1) {
    scope_ = heap_.make<Scope>(outside);
    flow = execute(statement.bodies[1]);
  }
  scope_ = outside;
  return flow;
}

bool Evaluator::execute_iterations(const Statement& statement, Loop& loop, const Value& loop_value) {
  const Expression& target = statement.targets[0];
  const int32_t variable = target.kind == ExpressionKind::name ? target.index : -1;
  const Ref<Scope> outside = scope_;
  bool completed = false;
  while (loop.index + 1 < loop.count() || fetch(loop)) {
    ++loop.index;
    const Value item = loop.items->items[static_cast<size_t>(loop.index)];
    heap_.work(4);  // a scope takes as long as several expressions
    scope_ = heap_.make<Scope>(outside);
    scope_->set(loop_symbol, loop_value);
    assign(target, item);
    trace_.begin(variable, item, position(), buffered_);
    const Flow flow = execute(statement.bodies[0]);
    trace_.end(position());
    completed = completed || flow == Flow::onward;
    if (flow == Flow::leave) break;
  }
  scope_ = outside;
  return completed;
}

}  // namespace lowrank::jinja
