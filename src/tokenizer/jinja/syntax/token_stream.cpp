#include "tokenizer/jinja/syntax/token_stream.h"

#include <fmt/format.h>

namespace lowrank::jinja {
namespace {

std::string described(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "text";
    case TokenKind::statement_begin:
      return "'{%'";
    case TokenKind::statement_end:
      return "'%}'";
    case TokenKind::print_begin:
      return "'{{'";
    case TokenKind::print_end:
      return "'}}'";
    case TokenKind::string:
      return "a string";
    case TokenKind::end:
      return "the end of the template";
    case TokenKind::name:
    case TokenKind::integer:
    case TokenKind::real:
    case TokenKind::symbol:
      break;
  }
  return fmt::format("'{}'", token.text.substr(0, 40));
}

}  // namespace

void TokenStream::unexpected(std::string_view expected) const {
  problem(fmt::format("unexpected {}, expected {}", described(current()), expected));
}

void TokenStream::expect_symbol(std::string_view text) {
  if (!skip_symbol(text)) unexpected(fmt::format("'{}'", text));
}

void TokenStream::expect_name(std::string_view text) {
  if (!skip_name(text)) unexpected(fmt::format("'{}'", text));
}

void TokenStream::expect(TokenKind kind) {
  if (!at_kind(kind)) unexpected(described({kind, "", 0}));
  next();
}

std::string TokenStream::expect_any_name() {
  if (!at_kind(TokenKind::name)) unexpected("a name");
  return next().text;
}

}  // namespace lowrank::jinja
