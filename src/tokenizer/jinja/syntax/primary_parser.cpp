#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "tokenizer/jinja/syntax/expression_parser.h"

namespace lowrank::jinja {
namespace {

std::vector<Expression> list_of(Expression first) {
  std::vector<Expression> items;
  items.push_back(std::move(first));
  return items;
}

}  // namespace

Expression ExpressionParser::printed() {
  const uint32_t offset = stream_.offset();
  std::vector<Expression> items;
  while (!stream_.at_kind(TokenKind::statement_end)) {
    if (!items.empty()) stream_.expect_symbol(",");
    items.push_back(expression());
  }
  return node(ExpressionKind::concatenate, offset, std::move(items));
}

Expression ExpressionParser::primary() {
  const Token& token = stream_.current();
  const uint32_t offset = token.offset;
  if (token.kind == TokenKind::name) {
    std::string word = stream_.next().text;
    const bool truth = word == "true" || word == "True", falsehood = word == "false" || word == "False";
    if (!truth && !falsehood && word != "none" && word != "None") return name(std::move(word), offset);
    Expression expression = node(ExpressionKind::constant, offset, {});
    expression.index = constant(truth || falsehood ? Constant(truth) : Constant());
    return expression;
  }
  if (token.kind == TokenKind::string) return strings();
  if (token.kind == TokenKind::integer || token.kind == TokenKind::real) return number();
  if (stream_.at_symbol("(")) return parenthesised();
  if (stream_.at_symbol("[")) return list();
  if (stream_.at_symbol("{")) return dict();
  stream_.unexpected("an expression");
}

Expression ExpressionParser::strings() {
  Expression expression = node(ExpressionKind::constant, stream_.offset(), {});
  std::string text;
  while (stream_.at_kind(TokenKind::string)) text += stream_.next().text;
  expression.index = constant(std::move(text));
  return expression;
}

Expression ExpressionParser::number() {
  Expression expression = node(ExpressionKind::constant, stream_.offset(), {});
  const Token token = stream_.next();
  if (token.kind == TokenKind::real) {
    const auto number = real_number(token.text);
    if (!number) TokenStream::problem(fmt::format("'{}' is no number", token.text), token.offset);
    expression.index = constant(*number);
    return expression;
  }
  const bool based = token.text.size() > 1 && token.text[0] == '0' && token.text[1] > '9';
  const char letter = based ? static_cast<char>(token.text[1] | 0x20) : '\0';
  const auto number = whole_number(token.text, letter == 'x'   ? 16
                                               : letter == 'o' ? 8
                                               : letter == 'b' ? 2
                                                               : 10);
  if (!number && based)
    TokenStream::problem(fmt::format("'{}' is no 64-bit number", token.text), token.offset);
  expression.index = constant(number ? Constant(*number) : Constant(Digits{token.text}));
  return expression;
}

Expression ExpressionParser::parenthesised() {
  const uint32_t offset = stream_.next().offset;
  if (stream_.skip_symbol(")")) return node(ExpressionKind::tuple, offset, {});
  Expression inside = tuple();
  stream_.expect_symbol(")");
  return inside;
}

Expression ExpressionParser::list() {
  const uint32_t offset = stream_.next().offset;
  std::vector<Expression> items;
  while (!stream_.at_symbol("]")) {
    items.push_back(expression());
    if (!stream_.skip_symbol(",")) break;
  }
  stream_.expect_symbol("]");
  return node(ExpressionKind::list, offset, std::move(items));
}

Expression ExpressionParser::dict() {
  const uint32_t offset = stream_.next().offset;
  std::vector<Expression> items;
  while (!stream_.at_symbol("}")) {
    items.push_back(expression());
    stream_.expect_symbol(":");
    items.push_back(expression());
    if (!stream_.skip_symbol(",")) break;
  }
  stream_.expect_symbol("}");
  return node(ExpressionKind::dict, offset, std::move(items));
}

Expression ExpressionParser::subscript(Expression object) {
  if (stream_.at_symbol("[")) return bracket(std::move(object));
  const uint32_t offset = stream_.next().offset;
  if (stream_.at_kind(TokenKind::integer)) {
    std::vector<Expression> items = list_of(std::move(object));
    items.push_back(number());
    return node(ExpressionKind::subscript, offset, std::move(items));
  }
  if (!stream_.at_kind(TokenKind::name)) stream_.unexpected("a name or number after '.'");
  Expression result = node(ExpressionKind::attribute, offset, list_of(std::move(object)));
  result.name = stream_.next().text;
  return result;
}

Expression ExpressionParser::bracket(Expression object) {
  const uint32_t offset = stream_.next().offset;
  std::vector<Expression> items = list_of(std::move(object));
  int present = 0, colons = 0;
  std::vector<Expression> keys;
  bool comma = false;
  while (!stream_.at_symbol("]")) {
    if (stream_.at_symbol(":")) {
      stream_.next();
      if (comma || ++colons > 2) stream_.problem("a slice has at most three parts");
    } else if (stream_.at_symbol(",")) {
      stream_.next();
      if (colons > 0) TokenStream::problem("slices of several dimensions are not supported", offset, true);
      comma = true;
    } else {
      if (!comma && (present >> colons & 1) != 0) stream_.unexpected("']'");
      present |= 1 << colons;
      keys.push_back(expression());
    }
  }
  stream_.expect_symbol("]");
  if (keys.empty() && colons == 0) TokenStream::problem("a subscript is empty", offset);
  if (comma) {
    items.push_back(node(ExpressionKind::tuple, offset, std::move(keys)));
  } else {
    for (Expression& key : keys) items.push_back(std::move(key));
  }
  Expression result =
      node(colons > 0 ? ExpressionKind::slice : ExpressionKind::subscript, offset, std::move(items));
  if (colons > 0) result.index = present;
  return result;
}

Expression ExpressionParser::call(Expression callee) {
  Expression result = node(ExpressionKind::call, stream_.offset(), list_of(std::move(callee)));
  arguments(result);
  return measured(std::move(result));
}

void ExpressionParser::arguments(Expression& call) {
  stream_.expect_symbol("(");
  std::vector<Expression> named;
  std::vector<Expression> stars;
  while (!stream_.at_symbol(")")) {
    if (stream_.at_symbol("**") && !call.double_star) {
      stream_.next();
      call.double_star = true;
      stars.push_back(expression());
    } else if (stream_.at_symbol("*") && !call.star && !call.double_star) {
      stream_.next();
      call.star = true;
      stars.push_back(expression());
    } else if (stream_.at_kind(TokenKind::name) && stream_.ahead().kind == TokenKind::symbol &&
               stream_.ahead().text == "=") {
      if (call.double_star) stream_.problem("an argument after **");
      call.keywords.push_back(stream_.next().text);
      for (size_t i = 0; i + 1 < call.keywords.size(); ++i) {
        if (call.keywords[i] == call.keywords.back())
          stream_.problem(fmt::format("the argument '{}' is given twice", call.keywords[i]));
      }
      stream_.next();
      named.push_back(expression());
    } else {
      if (!call.keywords.empty() || call.star || call.double_star)
        stream_.problem("a positional argument after a named one");
      call.items.push_back(expression());
    }
    if (!stream_.skip_symbol(",")) break;
  }
  stream_.expect_symbol(")");
  for (Expression& value : named) call.items.push_back(std::move(value));
  for (Expression& value : stars) call.items.push_back(std::move(value));
}

Expression ExpressionParser::target(bool with_namespace) {
  const auto one = [&]() -> Expression {
    const ParseLevel level(stream_, depth_);
    const uint32_t offset = stream_.offset();
    if (stream_.skip_symbol("(")) {
      Expression inside = target(with_namespace);
      stream_.expect_symbol(")");
      return inside;
    }
    std::string word = stream_.expect_any_name();
    if (word == "true" || word == "false" || word == "none" || word == "True" || word == "False" ||
        word == "None") {
      TokenStream::problem(fmt::format("'{}' cannot be assigned to", word), offset);
    }
    Expression result = node(ExpressionKind::name, offset, {});
    result.index = stream_.program().symbol(word);
    result.name = std::move(word);
    if (!with_namespace || !stream_.skip_symbol(".")) return result;
    Expression member = node(ExpressionKind::attribute, offset, list_of(std::move(result)));
    member.name = stream_.expect_any_name();
    return member;
  };
  const uint32_t offset = stream_.offset();
  std::vector<Expression> items = list_of(one());
  bool is_tuple = false;
  while (stream_.skip_symbol(",")) {
    is_tuple = true;
    if (!stream_.at_kind(TokenKind::name) && !stream_.at_symbol("(")) break;
    if (stream_.at_name("in")) break;
    items.push_back(one());
  }
  if (!is_tuple) return std::move(items.front());
  return node(ExpressionKind::tuple, offset, std::move(items));
}

}  // namespace lowrank::jinja
