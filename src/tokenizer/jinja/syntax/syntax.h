#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/jinja/values/numbers.h"

namespace lowrank::jinja {

enum class ExpressionKind : uint8_t {
  constant,     ///< number `index` of the program's constants
  name,         ///< variable `index`
  captured,     ///< what a filter block or set block wrote
  attribute,    ///< items[0].name
  subscript,    ///< items[0][items[1]]
  slice,        ///< items[0][a:b:c]; `index` has bits 1, 2, 4 for those of a, b, c that follow
  list,         ///< items
  tuple,        ///< items
  dict,         ///< items: key, value, key, value, …
  negation,     ///< not items[0]
  minus,        ///< -items[0]
  plus,         ///< +items[0]
  arithmetic,   ///< items[0] `operation` items[1]
  concatenate,  ///< items, as one string
  comparison,   ///< items[0] comparisons[0] items[1] comparisons[1] items[2] …
  both,         ///< items[0] and items[1]
  either,       ///< items[0] or items[1]
  condition,    ///< items[1] if items[0] else items[2] (may be missing)
  call,         ///< items[0](arguments)
  filter,       ///< items[0] | name(arguments); `index` in the table of filters
  test,         ///< items[0] is name(arguments); `index` in the table of tests
};

enum class Comparison : uint8_t { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  Operation operation = Operation::add;
  bool star = false, double_star = false;  ///< the last items of a call are *list, **dict
  uint32_t offset = 0;                     ///< in the source
  int32_t index = 0;
  int32_t depth = 1;  ///< levels of expressions below and with this one
  std::string name;
  std::vector<Expression> items;      ///< of a call: callee, positional arguments, named ones, *list, **dict
  std::vector<std::string> keywords;  ///< names of the named arguments
  std::vector<Comparison> comparisons;
};

enum class StatementKind : uint8_t {
  text,          ///< writes constant `index`
  print,         ///< writes expressions[0]
  choice,        ///< if expressions[i]: bodies[i], …, else: the last body
  loop,          ///< for targets[0] in expressions[0] if expressions[1]: bodies[0], else bodies[1]
  set,           ///< targets[0] = expressions[0]
  set_block,     ///< targets[0] = what bodies[0] writes, through the filters of expressions[0]
  macro,         ///< variable `index` = a macro
  call,          ///< writes expressions[0], a call that gets bodies[0] as `caller`
  generation,    ///< writes bodies[0], which the model is to learn
  filter_block,  ///< writes what bodies[0] writes through the filters of expressions[0]
  with,          ///< bodies[0] with targets[i] = expressions[i]
  leave,         ///< break
  next,          ///< continue
};

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  StatementKind kind = StatementKind::text;
  bool recursive = false;                                               ///< of a loop
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;  ///< of a macro or call
  uint32_t offset = 0;
  int32_t index = 0;
  std::string name;                 ///< of a macro
  std::vector<Expression> targets;  ///< names, tuples of targets, attributes of namespaces
  std::vector<Expression> expressions;
  std::vector<int32_t> parameters;   ///< variables, of a macro or call
  std::vector<Expression> defaults;  ///< of the last parameters
  std::vector<Body> bodies;
};

}  // namespace lowrank::jinja
