#include "tokenizer/jinja/syntax/expression_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "tokenizer/jinja/builtins/filters.h"
#include "tokenizer/jinja/builtins/tests.h"

namespace lowrank::jinja {

Expression ExpressionParser::measured(Expression expression) {
  int32_t below = 0;
  for (const Expression& item : expression.items) below = std::max(below, item.depth);
  expression.depth = below + 1;
  if (expression.depth > ParseLevel::most) {
    TokenStream::problem("an expression of more than 200 levels", expression.offset);
  }
  return expression;
}

Expression ExpressionParser::node(ExpressionKind kind, uint32_t offset, std::vector<Expression> items) {
  Expression expression;
  expression.kind = kind;
  expression.offset = offset;
  expression.items = std::move(items);
  return measured(std::move(expression));
}

namespace {

std::vector<Expression> list_of(Expression first) {
  std::vector<Expression> items;
  items.push_back(std::move(first));
  return items;
}

std::vector<Expression> list_of(Expression first, Expression second) {
  std::vector<Expression> items = list_of(std::move(first));
  items.push_back(std::move(second));
  return items;
}

}  // namespace

int32_t ExpressionParser::constant(Constant value) {
  std::vector<Constant>& constants = stream_.program().constants;
  constants.push_back(std::move(value));
  return static_cast<int32_t>(constants.size()) - 1;
}

Expression ExpressionParser::name(std::string name, uint32_t offset) {
  if (name == "self") TokenStream::problem("the variable 'self' is not supported", offset, true);
  for (Statement* macro : stream_.macros) {
    macro->uses_caller |= name == "caller";
    macro->uses_varargs |= name == "varargs";
    macro->uses_kwargs |= name == "kwargs";
  }
  Expression expression = node(ExpressionKind::name, offset, {});
  expression.index = stream_.program().symbol(name);
  expression.name = std::move(name);
  return expression;
}

bool ExpressionParser::ends_tuple(std::string_view may_end) const {
  return stream_.at_kind(TokenKind::print_end) || stream_.at_kind(TokenKind::statement_end) ||
         stream_.at_symbol(")") || (!may_end.empty() && stream_.at_name(may_end));
}

Expression ExpressionParser::tuple(bool with_condition, std::string_view may_end) {
  const uint32_t offset = stream_.offset();
  std::vector<Expression> items;
  bool is_tuple = false;
  while (!ends_tuple(may_end)) {
    items.push_back(expression(with_condition));
    if (!stream_.skip_symbol(",")) break;
    is_tuple = true;
  }
  if (items.empty() && !is_tuple) stream_.unexpected("an expression");
  if (!is_tuple) return std::move(items.front());
  return node(ExpressionKind::tuple, offset, std::move(items));
}

Expression ExpressionParser::expression(bool with_condition) {
  const ParseLevel level(stream_, depth_);
  Expression value = either();
  while (with_condition && stream_.at_name("if")) {
    const uint32_t offset = stream_.next().offset;
    ++stream_.ifs;
    Expression test = either();
    std::vector<Expression> items = list_of(std::move(test), std::move(value));
    if (stream_.skip_name("else")) items.push_back(expression());
    --stream_.ifs;
    value = node(ExpressionKind::condition, offset, std::move(items));
  }
  return value;
}

Expression ExpressionParser::either() {
  Expression left = both();
  while (stream_.at_name("or")) {
    const uint32_t offset = stream_.next().offset;
    left = node(ExpressionKind::either, offset, list_of(std::move(left), both()));
  }
  return left;
}

Expression ExpressionParser::both() {
  Expression left = negation();
  while (stream_.at_name("and")) {
    const uint32_t offset = stream_.next().offset;
    left = node(ExpressionKind::both, offset, list_of(std::move(left), negation()));
  }
  return left;
}

Expression ExpressionParser::negation() {
  if (!stream_.at_name("not")) return comparison();
  const ParseLevel level(stream_, depth_);
  const uint32_t offset = stream_.next().offset;
  return node(ExpressionKind::negation, offset, list_of(negation()));
}

Expression ExpressionParser::comparison() {
  static constexpr std::array<std::pair<std::string_view, Comparison>, 6> symbols = {
      {{"==", Comparison::equal},
       {"!=", Comparison::unequal},
       {"<=", Comparison::less_equal},
       {">=", Comparison::greater_equal},
       {"<", Comparison::less},
       {">", Comparison::greater}}};
  Expression result = node(ExpressionKind::comparison, stream_.offset(), list_of(sum()));
  while (true) {
    const uint32_t offset = stream_.offset();
    const auto* symbol = std::find_if(symbols.begin(), symbols.end(),
                                      [&](const auto& s) { return stream_.at_symbol(s.first); });
    if (symbol != symbols.end()) {
      stream_.next();
      result.comparisons.push_back(symbol->second);
    } else if (stream_.skip_name("in")) {
      result.comparisons.push_back(Comparison::in);
    } else if (stream_.at_name("not") && stream_.ahead().kind == TokenKind::name &&
               stream_.ahead().text == "in") {
      stream_.next();
      stream_.next();
      result.comparisons.push_back(Comparison::not_in);
    } else {
      break;
    }
    if (result.items.size() == 1) result.offset = offset;
    result.items.push_back(sum());
  }
  if (result.comparisons.empty()) return std::move(result.items.front());
  return measured(std::move(result));
}

Expression ExpressionParser::sum() {
  Expression left = concatenation();
  while (stream_.at_symbol("+") || stream_.at_symbol("-")) {
    const Token symbol = stream_.next();
    left = node(ExpressionKind::arithmetic, symbol.offset, list_of(std::move(left), concatenation()));
    left.operation = symbol.text == "+" ? Operation::add : Operation::subtract;
  }
  return left;
}

Expression ExpressionParser::concatenation() {
  const uint32_t offset = stream_.offset();
  std::vector<Expression> items = list_of(product());
  while (stream_.skip_symbol("~")) items.push_back(product());
  if (items.size() == 1) return std::move(items.front());
  return node(ExpressionKind::concatenate, offset, std::move(items));
}

Expression ExpressionParser::product() {
  static constexpr std::array<std::pair<std::string_view, Operation>, 4> symbols = {
      {{"*", Operation::multiply},
       {"/", Operation::divide},
       {"//", Operation::floor_divide},
       {"%", Operation::modulo}}};
  Expression left = power();
  while (true) {
    const auto* symbol = std::find_if(symbols.begin(), symbols.end(),
                                      [&](const auto& s) { return stream_.at_symbol(s.first); });
    if (symbol == symbols.end()) return left;
    const uint32_t offset = stream_.next().offset;
    left = node(ExpressionKind::arithmetic, offset, list_of(std::move(left), power()));
    left.operation = symbol->second;
  }
}

Expression ExpressionParser::power() {
  Expression left = unary();
  while (stream_.at_symbol("**")) {
    const uint32_t offset = stream_.next().offset;
    left = node(ExpressionKind::arithmetic, offset, list_of(std::move(left), unary()));
    left.operation = Operation::power;
  }
  return left;
}

Expression ExpressionParser::unary(bool with_filters) {
  const ParseLevel level(stream_, depth_);
  const uint32_t offset = stream_.offset();
  Expression value;
  if (stream_.skip_symbol("-")) {
    value = node(ExpressionKind::minus, offset, list_of(unary(false)));
  } else if (stream_.skip_symbol("+")) {
    value = node(ExpressionKind::plus, offset, list_of(unary(false)));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters(std::move(value)) : std::move(value);
}

Expression ExpressionParser::postfix(Expression value) {
  while (true) {
    if (stream_.at_symbol(".") || stream_.at_symbol("[")) {
      value = subscript(std::move(value));
    } else if (stream_.at_symbol("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::filters(Expression value) {
  while (true) {
    if (stream_.at_symbol("|")) {
      stream_.next();
      value = filter(std::move(value));
    } else if (stream_.at_name("is")) {
      value = test(std::move(value));
    } else if (stream_.at_symbol("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::filters_of_block(bool first_without_bar) {
  Expression value = node(ExpressionKind::captured, stream_.offset(), {});
  if (first_without_bar) value = filter(std::move(value));
  while (stream_.skip_symbol("|")) value = filter(std::move(value));
  return value;
}

Expression ExpressionParser::filter(Expression value) {
  const uint32_t offset = stream_.offset();
  std::string name = stream_.expect_any_name();
  while (stream_.skip_symbol(".")) name += "." + stream_.expect_any_name();
  Expression result = node(ExpressionKind::filter, offset, list_of(std::move(value)));
  result.index = filter_number(name);
  if (result.index < 0 && stream_.ifs == 0) {
    TokenStream::problem(unknown_filter(name), offset, left_out_filter(name));
  }
  result.name = std::move(name);
  if (stream_.at_symbol("(")) arguments(result);
  return measured(std::move(result));
}

Expression ExpressionParser::test(Expression value) {
  const uint32_t offset = stream_.next().offset;
  const bool negated = stream_.skip_name("not");
  std::string name = stream_.expect_any_name();
  while (stream_.skip_symbol(".")) name += "." + stream_.expect_any_name();
  Expression result = node(ExpressionKind::test, offset, list_of(std::move(value)));
  result.index = test_number(name);
  if (result.index < 0 && stream_.ifs == 0) TokenStream::problem(unknown_test(name), offset);
  result.name = std::move(name);
  const Token& token = stream_.current();
  const bool word =
      token.kind == TokenKind::name && token.text != "else" && token.text != "or" && token.text != "and";
  if (stream_.at_symbol("(")) {
    arguments(result);
  } else if (word || token.kind == TokenKind::string || token.kind == TokenKind::integer ||
             token.kind == TokenKind::real || stream_.at_symbol("[") || stream_.at_symbol("{")) {
    if (stream_.at_name("is")) stream_.problem("tests with 'is' cannot be chained");
    result.items.push_back(postfix(primary()));
  }
  result = measured(std::move(result));
  return negated ? node(ExpressionKind::negation, offset, list_of(std::move(result))) : std::move(result);
}

}  // namespace lowrank::jinja
