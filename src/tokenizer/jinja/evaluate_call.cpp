#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/jinja/builtins/lookup.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/values/comparison.h"
#include "tokenizer/jinja/values/printing.h"

namespace lowrank::jinja {
namespace {

constexpr int32_t caller_symbol = 1, varargs_symbol = 2, kwargs_symbol = 3;  // as parse_program numbers them

}  // namespace

Value Evaluator::evaluate_call(const Expression& expression, const Value* caller) {
  const Expression& callee = expression.items[0];
  Call call(heap_, callee.name.empty() ? "the function" : std::string_view(callee.name));
  if (callee.kind == ExpressionKind::attribute) {
    const Level level(*this);
    const Value object = evaluate(callee.items[0]);
    offset_ = callee.offset;
    const FoundAttribute found = find_method(object, callee.name);
    if (found.method && !caller) {
      call.subject = object;
      arguments(expression, call);
      offset_ = callee.offset;
      return found.method->run(call);
    }
    const Value function = attribute_of(heap_, object, callee.name);
    arguments(expression, call);
    if (caller) call.named.emplace_back("caller", *caller);
    offset_ = callee.offset;
    return call_value(function, call);
  }
  const Value function = evaluate(callee);
  arguments(expression, call);
  if (caller) call.named.emplace_back("caller", *caller);
  offset_ = callee.offset;
  return call_value(function, call);
}

Value Evaluator::call_value(const Value& callee, Call& call) {
  if (callee.is_undefined()) fail(ErrorKind::invalid, "{}", callee.undefined_message());
  if (callee.is(Kind::loop)) return call_loop(callee, call);
  check(callee.is(Kind::callable), ErrorKind::invalid, "'{}' object is not callable",
        type_name(callee.kind()));
  const auto& function = static_cast<const Callable&>(*callee.object());
  if (function.macro) return call_macro(function, call);
  if (!function.loop_method.empty()) return call_loop_method(function, call);
  if (!function.method) return call_function(function.function, call);
  call.subject = function.subject;
  return function.method->run(call);
}

Value Evaluator::make_macro(const Statement& statement) {
  const Ref<Callable> macro = heap_.make<Callable>();
  macro->macro = &statement;
  macro->scope = scope_;
  return macro;
}

void Evaluator::bind_macro(const Statement& macro, const Call& call, Scope& scope) {
  const std::vector<int32_t>& parameters = macro.parameters;
  check(call.positional.size() <= parameters.size() || macro.uses_varargs, ErrorKind::invalid,
        "macro '{}' takes not more than {} argument(s)", macro.name, parameters.size());
  for (size_t i = 0; i < std::min(call.positional.size(), parameters.size()); ++i)
    scope.set(parameters[i], call.positional[i]);
  const Ref<Dict> others = heap_.make<Dict>();
  for (const auto& [name, value] : call.named) {
    const auto symbol = std::find_if(parameters.begin(), parameters.end(), [&, &n = name](int32_t parameter) {
      return program_.symbols[static_cast<size_t>(parameter)] == n;
    });
    if (symbol != parameters.end()) {
      check(!scope.find(*symbol), ErrorKind::invalid, "macro '{}' got the argument '{}' twice", macro.name,
            name);
      scope.set(*symbol, value);
    } else if (name == "caller" && macro.uses_caller) {
      scope.set(caller_symbol, value);
    } else {
      check(macro.uses_kwargs, ErrorKind::invalid, "macro '{}' takes no keyword argument '{}'", macro.name,
            name);
      others->set(text_value(heap_, name), value);
    }
  }
  if (macro.uses_kwargs) scope.set(kwargs_symbol, others);
  if (macro.uses_caller && !scope.find(caller_symbol)) {
    scope.set(caller_symbol, Value::undefined(&program_.symbols[static_cast<size_t>(caller_symbol)]));
  }
  if (!macro.uses_varargs) return;
  const Ref<Sequence> rest = heap_.make<Sequence>(Row::tuple);
  for (size_t i = parameters.size(); i < call.positional.size(); ++i) rest->push(call.positional[i]);
  scope.set(varargs_symbol, rest);
}

Value Evaluator::call_macro(const Callable& callable, const Call& call) {
  check(calls_ < heap_.limits().calls, ErrorKind::invalid,
        "macros and recursive loops call each other deeper than {} levels, the limit of a render",
        heap_.limits().calls);
  ++calls_;
  const size_t outside = trace_.enter_macro();
  const Statement& macro = *callable.macro;
  Buffer buffer(*this, callable.scope);
  bind_macro(macro, call, *scope_);
  const size_t required = macro.parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const int32_t parameter = macro.parameters[i];
    if (scope_->find(parameter)) continue;
    // A default sees the parameters before it; the later ones are not set yet, and do not show what is
    // outside.
    scope_->set(parameter, i < required ? Value::undefined(&program_.symbols[static_cast<size_t>(parameter)])
                                        : evaluate(macro.defaults[i - required]));
  }
  (void)execute(macro.bodies[0]);
  trace_.leave_macro(outside);
  --calls_;
  return text_value(std::move(buffer.text()));
}

Value Evaluator::call_loop(const Value& value, const Call& call) {
  const auto& loop = static_cast<const Loop&>(*value.object());
  check(loop.statement->recursive, ErrorKind::invalid,
        "The loop must have the 'recursive' marker to be called recursively.");
  const auto [items, a, b, c, d, e] = call.bind({"iterable"}, 1);
  check(calls_ < heap_.limits().calls, ErrorKind::invalid,
        "macros and recursive loops call each other deeper than {} levels, the limit of a render",
        heap_.limits().calls);
  ++calls_;
  const Ref<Scope> around = loop.scope;
  Buffer buffer(*this, around);
  (void)execute_loop(*loop.statement, *items, loop.depth + 1);
  --calls_;
  return text_value(std::move(buffer.text()));
}

Value Evaluator::call_loop_method(const Callable& method, const Call& call) {
  auto& loop = static_cast<Loop&>(*method.subject.object());
  check(call.named.empty(), ErrorKind::invalid, "loop.{} takes no named arguments", method.loop_method);
  if (method.loop_method == "cycle") {
    check(!call.positional.empty(), ErrorKind::invalid, "no items for cycling given");
    return call.positional[static_cast<size_t>(loop.index) % call.positional.size()];
  }
  const Ref<Sequence> now = heap_.make<Sequence>(Row::tuple);
  for (const Value& value : call.positional) now->push(value);
  const bool changed = loop.changed.is_undefined() || !equal(loop.changed, now);
  if (changed) loop.changed = now;
  return changed;
}

}  // namespace lowrank::jinja
