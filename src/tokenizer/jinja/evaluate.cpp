#include <array>
#include <string>
#include <variant>

#include "base/error.h"
#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/builtins/tests.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/values/printing.h"

namespace lowrank::jinja {

Value Evaluator::evaluate(const Expression& expression) {
  const Level level(*this);
  offset_ = expression.offset;
  switch (expression.kind) {
    case ExpressionKind::constant:
      return constants_[static_cast<size_t>(expression.index)];
    case ExpressionKind::name:
      return evaluate_name(expression);
    case ExpressionKind::captured:
      return captured_;
    case ExpressionKind::attribute:
      return evaluate_attribute(expression);
    case ExpressionKind::subscript:
      return evaluate_subscript(expression);
    case ExpressionKind::slice:
      return evaluate_slice(expression);
    case ExpressionKind::list:
      return evaluate_row(expression, Row::list);
    case ExpressionKind::tuple:
      return evaluate_row(expression, Row::tuple);
    case ExpressionKind::dict:
      return evaluate_dict(expression);
    case ExpressionKind::negation:
      return !evaluate(expression.items[0]).truthy();
    case ExpressionKind::minus:
    case ExpressionKind::plus: {
      const Value value = evaluate(expression.items[0]);
      offset_ = expression.offset;
      if (expression.kind == ExpressionKind::minus) return negated(value);
      return value.is_whole() ? Value(value.integer()) : Value(as_real(value));
    }
    case ExpressionKind::arithmetic:
      return evaluate_arithmetic(expression);
    case ExpressionKind::concatenate:
      return evaluate_concatenation(expression);
    case ExpressionKind::comparison:
      return evaluate_comparison(expression);
    case ExpressionKind::both: {
      Value left = evaluate(expression.items[0]);
      return left.truthy() ? evaluate(expression.items[1]) : left;
    }
    case ExpressionKind::either: {
      Value left = evaluate(expression.items[0]);
      return left.truthy() ? left : evaluate(expression.items[1]);
    }
    case ExpressionKind::condition:
      return evaluate_condition(expression);
    case ExpressionKind::call:
      return evaluate_call(expression);
    case ExpressionKind::filter:
      return evaluate_filter(expression);
    case ExpressionKind::test:
      return evaluate_test(expression);
  }
  return {};
}

Value Evaluator::evaluate_name(const Expression& expression) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->around.get()) {
    if (const Value* value = scope->find(expression.index)) return *value;
  }
  return Value::undefined(&program_.symbols[static_cast<size_t>(expression.index)]);
}

Value Evaluator::evaluate_attribute(const Expression& expression) {
  const Value object = evaluate(expression.items[0]);
  offset_ = expression.offset;
  if (object.is(Kind::loop)) look_ahead(object, expression.name);
  return attribute_of(heap_, object, expression.name);
}

Value Evaluator::evaluate_subscript(const Expression& expression) {
  const Value object = evaluate(expression.items[0]), key = evaluate(expression.items[1]);
  offset_ = expression.offset;
  if (object.is(Kind::loop) && key.is_text()) look_ahead(object, key.view());
  const Expression& index = expression.items[1];
  const bool constant = index.kind == ExpressionKind::constant;
  const auto* name =
      constant ? std::get_if<std::string>(&program_.constants[static_cast<size_t>(index.index)]) : nullptr;
  Value item = item_of(heap_, object, key, name);
  if (item.is(Kind::dict)) observe(index, key, item);
  return item;
}

void Evaluator::observe(const Expression& index, const Value& key, const Value& item) {
  if (index.kind == ExpressionKind::name) trace_.read_by_variable(index.index, key, item);
  if (index.kind == ExpressionKind::attribute && index.name == "index0" && index.items[0].name == "loop")
    trace_.read_by_loop(item);
}

Value Evaluator::evaluate_slice(const Expression& expression) {
  const Value object = evaluate(expression.items[0]);
  std::array<Value, 3> parts;
  std::array<const Value*, 3> given{};
  size_t next = 1;
  for (size_t i = 0; i < parts.size(); ++i) {
    if ((expression.index >> i & 1) == 0) continue;
    parts[i] = evaluate(expression.items[next++]);
    given[i] = &parts[i];
  }
  offset_ = expression.offset;
  return slice_of(heap_, object, given[0], given[1], given[2]);
}

Value Evaluator::evaluate_row(const Expression& expression, Row row) {
  const Ref<Sequence> result = heap_.make<Sequence>(row);
  for (const Expression& item : expression.items) result->push(evaluate(item));
  return result;
}

Value Evaluator::evaluate_dict(const Expression& expression) {
  const Ref<Dict> result = heap_.make<Dict>();
  for (size_t i = 0; i < expression.items.size(); i += 2) {
    Value key = evaluate(expression.items[i]), value = evaluate(expression.items[i + 1]);
    offset_ = expression.offset;
    result->set(std::move(key), std::move(value));
  }
  return result;
}

Value Evaluator::evaluate_arithmetic(const Expression& expression) {
  const Value a = evaluate(expression.items[0]), b = evaluate(expression.items[1]);
  offset_ = expression.offset;
  return operate(heap_, expression.operation, a, b);
}

Value Evaluator::evaluate_concatenation(const Expression& expression) {
  Text result(heap_);
  for (const Expression& item : expression.items) {
    const Value value = evaluate(item);
    offset_ = item.offset;
    print(result, value);
  }
  return text_value(std::move(result));
}

Value Evaluator::evaluate_comparison(const Expression& expression) {
  Value left = evaluate(expression.items[0]);
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    Value right = evaluate(expression.items[i + 1]);
    offset_ = expression.offset;
    if (!compare(expression.comparisons[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::evaluate_condition(const Expression& expression) {
  if (evaluate(expression.items[0]).truthy()) return evaluate(expression.items[1]);
  return expression.items.size() > 2 ? evaluate(expression.items[2]) : Value();
}

Value Evaluator::evaluate_filter(const Expression& expression) {
  Call call(heap_, expression.name);
  call.subject = evaluate(expression.items[0]);
  arguments(expression, call);
  offset_ = expression.offset;
  if (expression.index < 0) fail(ErrorKind::corrupt, "{}", unknown_filter(expression.name));
  return run_filter(expression.index, call);
}

Value Evaluator::evaluate_test(const Expression& expression) {
  Call call(heap_, expression.name);
  call.subject = evaluate(expression.items[0]);
  arguments(expression, call);
  offset_ = expression.offset;
  if (expression.index < 0) fail(ErrorKind::corrupt, "{}", unknown_test(expression.name));
  return run_test(expression.index, call);
}

void Evaluator::arguments(const Expression& expression, Call& call) {
  const size_t stars = (expression.star ? 1 : 0) + (expression.double_star ? 1 : 0);
  const size_t count = expression.items.size() - stars, named = expression.keywords.size();
  for (size_t i = 1; i < count - named; ++i) call.positional.push_back(evaluate(expression.items[i]));
  for (size_t i = 0; i < named; ++i) {
    call.named.emplace_back(expression.keywords[i], evaluate(expression.items[count - named + i]));
  }
  for (size_t i = count; i < expression.items.size(); ++i) {
    const Value value = evaluate(expression.items[i]);
    offset_ = expression.items[i].offset;
    // A call with both has them in the order in which they were written; *list comes first there.
    if (expression.star && i == count) {
      const Ref<Sequence> items = items_of(heap_, value);
      for (const Value& item : items->items) call.positional.push_back(item);
      continue;
    }
    check(value.is(Kind::dict), ErrorKind::invalid, "what follows ** must be a dict, not '{}'",
          type_name(value.kind()));
    call.kept = value;
    for (const auto& [key, entry] : value.dict().entries) {
      check(key.is_text(), ErrorKind::invalid, "keywords must be strings");
      for (const auto& [name, old] : call.named) {
        check(name != key.view(), ErrorKind::invalid, "{} got the argument '{}' twice", call.function, name);
      }
      call.named.emplace_back(key.view(), entry);
    }
  }
}

}  // namespace lowrank::jinja
