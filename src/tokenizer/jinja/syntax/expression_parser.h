#pragma once

#include <optional>

#include "tokenizer/jinja/syntax/token_stream.h"

namespace lowrank::jinja {

/// Parses Jinja's expressions, loosest first: inline if, or, and, not, comparisons, + -, ~, * / // %, **,
/// signs, then filters, tests, attributes, subscripts and calls. All throw SyntaxProblem.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  Expression expression(bool with_condition = true);
  /// One expression, or a tuple without parentheses; `may_end` names a word that ends it after a comma.
  Expression tuple(bool with_condition = true, std::string_view may_end = {});
  Expression unary(bool with_filters = true);
  /// Expressions with commas between them up to the end of a tag, as one string.
  Expression printed();
  /// A name, a tuple of names, or (if allowed) the attribute of a namespace.
  Expression target(bool with_namespace);
  /// `|filter|filter` behind what a block writes.
  Expression filters_of_block(bool first_without_bar);
  Expression name(std::string name, uint32_t offset);
  int32_t constant(Constant value);

 private:
  Expression either();
  Expression both();
  Expression negation();
  Expression comparison();
  Expression sum();
  Expression concatenation();
  Expression product();
  Expression power();
  Expression primary();
  Expression strings();
  Expression number();
  Expression parenthesised();
  Expression list();
  Expression dict();
  Expression postfix(Expression expression);
  Expression filters(Expression expression);
  Expression subscript(Expression object);
  Expression bracket(Expression object);
  Expression call(Expression callee);
  Expression filter(Expression value);
  Expression test(Expression value);
  void arguments(Expression& call);
  bool ends_tuple(std::string_view may_end) const;
  Expression node(ExpressionKind kind, uint32_t offset, std::vector<Expression> items);
  Expression measured(Expression expression);

  TokenStream& stream_;
  int depth_ = 0;
};

}  // namespace lowrank::jinja
