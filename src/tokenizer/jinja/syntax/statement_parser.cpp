#include "tokenizer/jinja/syntax/statement_parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "tokenizer/jinja/syntax/expression_parser.h"
#include "tokenizer/jinja/syntax/token_stream.h"

namespace lowrank::jinja {
namespace {

using Ends = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  explicit StatementParser(TokenStream& stream) : stream_(stream), expressions_(stream) {}

  /// Statements up to a tag that begins with one of `ends`, whose word is not read yet.
  Body body(Ends ends, std::string_view opened, uint32_t opened_at) {
    const ParseLevel level(stream_, depth_);
    Body statements;
    while (true) {
      const Token& token = stream_.current();
      if (token.kind == TokenKind::end) {
        if (ends.size() == 0) return statements;
        TokenStream::problem(fmt::format("the block '{}' is not closed with '{}'", opened, *(ends.end() - 1)),
                             opened_at);
      }
      if (token.kind == TokenKind::data) {
        statements.push_back(text());
      } else if (token.kind == TokenKind::print_begin) {
        statements.push_back(print());
      } else {
        stream_.expect(TokenKind::statement_begin);
        const std::string word = stream_.at_kind(TokenKind::name) ? stream_.current().text : "";
        if (std::find(ends.begin(), ends.end(), word) != ends.end()) return statements;
        statements.push_back(tag());
      }
    }
  }

 private:
  Statement statement(StatementKind kind) const {
    Statement result;
    result.kind = kind;
    result.offset = stream_.offset();
    return result;
  }

  /// A body that ends with the tag `end`, which is read too.
  Body closed_body(std::string_view end, std::string_view opened, uint32_t opened_at) {
    stream_.expect(TokenKind::statement_end);
    Body result = body({end}, opened, opened_at);
    stream_.next();
    stream_.expect(TokenKind::statement_end);
    return result;
  }

  Statement text() {
    Statement result = statement(StatementKind::text);
    result.index = expressions_.constant(stream_.next().text);
    return result;
  }

  Statement print() {
    Statement result = statement(StatementKind::print);
    stream_.next();
    result.expressions.push_back(expressions_.tuple());
    stream_.expect(TokenKind::print_end);
    return result;
  }

  Statement tag() {
    using Parse = Statement (StatementParser::*)();
    static constexpr std::array<std::pair<std::string_view, Parse>, 12> tags = {{
        {"if", &StatementParser::choice},
        {"for", &StatementParser::loop},
        {"set", &StatementParser::set},
        {"macro", &StatementParser::macro},
        {"call", &StatementParser::call},
        {"filter", &StatementParser::filter_block},
        {"with", &StatementParser::with},
        {"generation", &StatementParser::generation},
        {"print", &StatementParser::print_tag},
        {"break", &StatementParser::jump},
        {"continue", &StatementParser::jump},
        {"raw", nullptr},
    }};
    if (!stream_.at_kind(TokenKind::name)) stream_.unexpected("the name of a tag");
    const std::string& word = stream_.current().text;
    for (const auto& [name, parse] : tags) {
      if (word == name && parse) return (this->*parse)();
    }
    static constexpr std::array<std::string_view, 6> left_out = {"include", "import", "from",
                                                                 "extends", "block",  "autoescape"};
    if (std::find(left_out.begin(), left_out.end(), word) != left_out.end()) {
      TokenStream::problem(
          fmt::format("the tag '{}' is not supported: a chat template is one text of its own", word),
          stream_.offset(), true);
    }
    stream_.problem(fmt::format("unknown tag '{}'", word));
  }

  Statement print_tag() {
    Statement result = statement(StatementKind::print);
    stream_.next();
    result.expressions.push_back(expressions_.printed());
    stream_.expect(TokenKind::statement_end);
    return result;
  }

  Statement choice() {
    Statement result = statement(StatementKind::choice);
    ++stream_.ifs;
    while (true) {
      stream_.next();  // if or elif
      result.expressions.push_back(expressions_.tuple(false));
      stream_.expect(TokenKind::statement_end);
      result.bodies.push_back(body({"elif", "else", "endif"}, "if", result.offset));
      if (!stream_.at_name("elif")) break;
    }
    if (stream_.skip_name("else")) {
      stream_.expect(TokenKind::statement_end);
      result.bodies.push_back(body({"endif"}, "if", result.offset));
    }
    --stream_.ifs;
    stream_.next();
    stream_.expect(TokenKind::statement_end);
    return result;
  }

  Statement loop() {
    Statement result = statement(StatementKind::loop);
    stream_.next();
    result.targets.push_back(expressions_.target(false));
    stream_.expect_name("in");
    result.expressions.push_back(expressions_.tuple(false, "recursive"));
    if (stream_.skip_name("if")) result.expressions.push_back(expressions_.expression());
    result.recursive = stream_.skip_name("recursive");
    stream_.expect(TokenKind::statement_end);
    ++loops_;
    result.bodies.push_back(body({"endfor", "else"}, "for", result.offset));
    --loops_;
    if (stream_.skip_name("else")) {
      stream_.expect(TokenKind::statement_end);
      result.bodies.push_back(body({"endfor"}, "for", result.offset));
    }
    stream_.next();
    stream_.expect(TokenKind::statement_end);
    return result;
  }

  Statement jump() {
    if (loops_ == 0) stream_.problem(fmt::format("'{}' outside a loop", stream_.current().text));
    Statement result = statement(stream_.at_name("break") ? StatementKind::leave : StatementKind::next);
    stream_.next();
    stream_.expect(TokenKind::statement_end);
    return result;
  }

  Statement set() {
    Statement result = statement(StatementKind::set);
    stream_.next();
    result.targets.push_back(expressions_.target(true));
    if (stream_.skip_symbol("=")) {
      result.expressions.push_back(expressions_.tuple());
      stream_.expect(TokenKind::statement_end);
      return result;
    }
    result.kind = StatementKind::set_block;
    result.expressions.push_back(expressions_.filters_of_block(false));
    result.bodies.push_back(closed_body("endset", "set", result.offset));
    return result;
  }

  void signature(Statement& macro) {
    stream_.expect_symbol("(");
    while (!stream_.at_symbol(")")) {
      const uint32_t offset = stream_.offset();
      const int32_t parameter = stream_.program().symbol(stream_.expect_any_name());
      if (std::find(macro.parameters.begin(), macro.parameters.end(), parameter) != macro.parameters.end()) {
        TokenStream::problem("two parameters have the same name", offset);
      }
      macro.parameters.push_back(parameter);
      if (stream_.skip_symbol("=")) {
        macro.defaults.push_back(expressions_.expression());
      } else if (!macro.defaults.empty()) {
        stream_.problem("a parameter without a default after one with a default");
      }
      if (!stream_.skip_symbol(",")) break;
    }
    stream_.expect_symbol(")");
  }

  /// What a macro or call block writes: loops around it cannot be left from inside.
  void macro_body(Statement& macro, std::string_view end, std::string_view opened) {
    const int loops = std::exchange(loops_, 0);
    stream_.macros.push_back(&macro);
    macro.bodies.push_back(closed_body(end, opened, macro.offset));
    stream_.macros.pop_back();
    loops_ = loops;
  }

  Statement macro() {
    Statement result = statement(StatementKind::macro);
    stream_.next();
    result.name = stream_.expect_any_name();
    result.index = stream_.program().symbol(result.name);
    signature(result);
    macro_body(result, "endmacro", "macro");
    return result;
  }

  Statement call() {
    Statement result = statement(StatementKind::call);
    stream_.next();
    result.name = "caller";
    if (stream_.at_symbol("(")) signature(result);
    const uint32_t offset = stream_.offset();
    result.expressions.push_back(expressions_.unary(false));
    if (result.expressions[0].kind != ExpressionKind::call)
      TokenStream::problem("a call block needs a call", offset);
    macro_body(result, "endcall", "call");
    return result;
  }

  Statement generation() {
    Statement result = statement(StatementKind::generation);
    stream_.next();
    stream_.program().generation_blocks = true;
    macro_body(result, "endgeneration", "generation");
    return result;
  }

  Statement filter_block() {
    Statement result = statement(StatementKind::filter_block);
    stream_.next();
    result.expressions.push_back(expressions_.filters_of_block(true));
    result.bodies.push_back(closed_body("endfilter", "filter", result.offset));
    return result;
  }

  Statement with() {
    Statement result = statement(StatementKind::with);
    stream_.next();
    while (!stream_.at_kind(TokenKind::statement_end)) {
      if (!result.targets.empty()) stream_.expect_symbol(",");
      const uint32_t offset = stream_.offset();
      const std::string name = stream_.expect_any_name();
      result.targets.push_back(expressions_.name(name, offset));
      stream_.expect_symbol("=");
      result.expressions.push_back(expressions_.expression());
    }
    result.bodies.push_back(closed_body("endwith", "with", result.offset));
    return result;
  }

  TokenStream& stream_;
  ExpressionParser expressions_;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

Program parse_program(std::string source) {
  Program program;
  program.source = std::move(source);
  (void)program.symbol("loop");
  (void)program.symbol("caller");
  (void)program.symbol("varargs");
  (void)program.symbol("kwargs");
  TokenStream stream(tokens_of(program.source), program);
  program.body = StatementParser(stream).body({}, "", 0);
  return program;
}

}  // namespace lowrank::jinja
