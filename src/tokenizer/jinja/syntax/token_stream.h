#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/syntax/lexer.h"
#include "tokenizer/jinja/syntax/program.h"

namespace lowrank::jinja {

/// The tokens of a template while it is parsed, and what the parts of the parser share.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, Program& program) : tokens_(std::move(tokens)), program_(program) {}

  Program& program() { return program_; }
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  uint32_t offset() const { return current().offset; }

  Token next() {
    Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  void back() { --at_; }

  bool at_symbol(std::string_view text) const {
    return current().kind == TokenKind::symbol && current().text == text;
  }
  bool at_name(std::string_view text) const {
    return current().kind == TokenKind::name && current().text == text;
  }
  bool at_kind(TokenKind kind) const { return current().kind == kind; }
  bool skip_symbol(std::string_view text) { return at_symbol(text) && (next(), true); }
  bool skip_name(std::string_view text) { return at_name(text) && (next(), true); }

  /// These read one token. Throw SyntaxProblem when it is another one.
  void expect_symbol(std::string_view text);
  void expect_name(std::string_view text);
  void expect(TokenKind kind);
  std::string expect_any_name();

  [[noreturn]] void problem(std::string message) const { problem(std::move(message), offset()); }
  [[noreturn]] static void problem(std::string message, uint32_t offset, bool unsupported = false) {
    throw SyntaxProblem{std::move(message), offset, unsupported};
  }
  [[noreturn]] void unexpected(std::string_view expected) const;

  int ifs = 0;                     ///< branches around: unknown filters are refused only when reached
  std::vector<Statement*> macros;  ///< the macros and call blocks around

 private:
  std::vector<Token> tokens_;
  Program& program_;
  size_t at_ = 0;
};

/// Counts one level of a parse. Throws SyntaxProblem below 200 levels.
class ParseLevel {
 public:
  ParseLevel(TokenStream& stream, int& depth) : depth_(depth) {
    if (depth_ >= most) stream.problem("nested deeper than 200 levels");
    ++depth_;
  }
  ~ParseLevel() { --depth_; }
  ParseLevel(const ParseLevel&) = delete;
  ParseLevel& operator=(const ParseLevel&) = delete;

  static constexpr int most = 200;

 private:
  int& depth_;
};

}  // namespace lowrank::jinja
