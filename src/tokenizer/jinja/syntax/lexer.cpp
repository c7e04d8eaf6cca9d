#include "tokenizer/jinja/syntax/lexer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text/characters.h"
#include "tokenizer/jinja/syntax/string_literal.h"

namespace lowrank::jinja {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view without_trailing_spaces(std::string_view text) {
  size_t end = text.size();
  for (size_t next = end; next > 0 && is_space(previous_character(text, next));) end = next;
  return text.substr(0, end);
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> tokens() {
    while (at_ < source_.size()) outside();
    add(TokenKind::end, "", source_.size());
    return std::move(tokens_);
  }

 private:
  [[noreturn]] static void problem(std::string message, size_t offset) {
    throw SyntaxProblem{std::move(message), static_cast<uint32_t>(offset)};
  }

  void add(TokenKind kind, std::string text, size_t offset) {
    tokens_.push_back({kind, std::move(text), static_cast<uint32_t>(offset)});
  }

  bool here(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  size_t skipped_spaces(size_t at) const {
    while (at < source_.size()) {
      size_t next = at;
      if (!is_space(next_character(source_, next))) break;
      at = next;
    }
    return at;
  }

  /// Text up to a tag that begins at `end` with this sign: a minus takes the white space before the tag, and
  /// `lstrip_blocks` takes the indentation of a statement or comment.
  void add_data(size_t end, char sign, bool print) {
    std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      text = without_trailing_spaces(text);
    } else if (sign != '+' && !print) {
      const size_t line = text.rfind('\n') + 1;  // 0 if there is none
      if ((line > 0 || line_starting_) && without_spaces(text.substr(line)).empty())
        text = text.substr(0, line);
    }
    if (!text.empty()) add(TokenKind::data, std::string(text), at_);
  }

  char sign_at(size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }

  void outside() {
    size_t tag = at_;
    do {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        add(TokenKind::data, std::string(source_.substr(at_)), at_);
        at_ = source_.size();
        return;
      }
      ++tag;
    } while (source_[tag] != '%' && source_[tag] != '{' && source_[tag] != '#');
    const char kind = source_[tag--];
    const char sign = sign_at(tag + 2);
    add_data(tag, sign, kind == '{');
    at_ = tag + (sign ? 3 : 2);
    if (kind == '#') return comment(tag);
    if (kind == '%' && raw(tag)) return;
    add(kind == '{' ? TokenKind::print_begin : TokenKind::statement_begin, "", tag);
    while (!inside(kind == '{')) {
      if (at_ >= source_.size()) {
        problem(fmt::format("the tag that begins with '{}' is not closed", source_.substr(tag, 2)), tag);
      }
    }
  }

  void after_tag(size_t end, bool strip, bool trim) {
    at_ = strip ? skipped_spaces(end) : end;
    if (trim && !strip && here("\n")) ++at_;
    line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) problem("a comment is not closed with '#}'", tag);
    const char sign = end > at_ ? source_[end - 1] : '\0';
    after_tag(end + 2, sign == '-', sign != '+');
  }

  /// Reads {% raw %} … {% endraw %} if that is what stands here.
  bool raw(size_t tag) {
    size_t end = skipped_spaces(at_);
    if (!source_.substr(end).starts_with("raw")) return false;
    end = skipped_spaces(end + 3);
    const bool strip = source_.substr(end).starts_with("-%}");
    if (!strip && !source_.substr(end).starts_with("%}")) return false;
    after_tag(end + (strip ? 3 : 2), strip, false);
    for (size_t next = source_.find("{%", at_); next != std::string_view::npos;
         next = source_.find("{%", next + 2)) {
      const char sign = sign_at(next + 2);
      size_t word = skipped_spaces(next + (sign ? 3 : 2));
      if (!source_.substr(word).starts_with("endraw")) continue;
      word = skipped_spaces(word + 6);
      const char end_sign = sign_at(word);
      if (end_sign) ++word;
      if (!source_.substr(word).starts_with("%}")) continue;
      add_data(next, sign, false);
      after_tag(word + 2, end_sign == '-', end_sign != '+');
      return true;
    }
    problem("a raw block is not closed with '{% endraw %}'", tag);
  }

  /// Reads one token inside a tag; whether it was the tag's end.
  bool inside(bool print) {
    at_ = skipped_spaces(at_);
    if (at_ >= source_.size()) return false;
    if (open_.empty()) {
      const std::string_view end = print ? "}}" : "%}";
      const bool strip = source_[at_] == '-' && source_.substr(at_ + 1).starts_with(end);
      const bool keep = !print && source_[at_] == '+' && source_.substr(at_ + 1).starts_with(end);
      if (strip || keep || here(end)) {
        add(print ? TokenKind::print_end : TokenKind::statement_end, "", at_);
        after_tag(at_ + (strip || keep ? 3 : 2), strip, !print && !keep);
        return true;
      }
    }
    const char c = source_[at_];
    if (digit(c)) {
      number();
    } else if (c == '\'' || c == '"') {
      string(c);
    } else if (size_t next = at_; begins_name(next_character(source_, next))) {
      name();
    } else {
      symbol();
    }
    return false;
  }

  void name() {
    const size_t begin = at_;
    for (size_t next = at_; next < source_.size() && continues_name(next_character(source_, next));)
      at_ = next;
    add(TokenKind::name, std::string(source_.substr(begin, at_ - begin)), begin);
  }

  size_t digits_from(size_t at) const {
    while (at < source_.size() &&
           (digit(source_[at]) || (source_[at] == '_' && at + 1 < source_.size() && digit(source_[at + 1]))))
      ++at;
    return at;
  }

  void number() {
    const size_t begin = at_;
    const bool after_dot = begin > 0 && source_[begin - 1] == '.';
    const char second = begin + 1 < source_.size() ? static_cast<char>(source_[begin + 1] | 0x20) : '\0';
    TokenKind kind = TokenKind::integer;
    if (source_[begin] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      at_ += 2;
      while (at_ < source_.size() &&
             (isalnum(static_cast<unsigned char>(source_[at_])) || source_[at_] == '_'))
        ++at_;
    } else {
      at_ = digits_from(at_);
      if (!after_dot && at_ + 1 < source_.size() && source_[at_] == '.' && digit(source_[at_ + 1])) {
        at_ = digits_from(at_ + 1);
        kind = TokenKind::real;
      }
      size_t exponent = at_ + 1;
      if (!after_dot && at_ < source_.size() && (source_[at_] | 0x20) == 'e') {
        if (sign_at(exponent)) ++exponent;
        if (exponent < source_.size() && digit(source_[exponent])) {
          at_ = digits_from(exponent);
          kind = TokenKind::real;
        }
      }
    }
    std::string text(source_.substr(begin, at_ - begin));
    std::erase(text, '_');
    add(kind, std::move(text), begin);
  }

  void string(char quote) {
    const size_t begin = at_;
    size_t end = begin + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) problem("a string is not closed", begin);
    std::string text;
    if (const auto wrong = unescape(source_.substr(begin + 1, end - begin - 1), text)) {
      problem(wrong->message, begin + 1 + wrong->offset);
    }
    at_ = end + 1;
    add(TokenKind::string, std::move(text), begin);
  }

  void symbol() {
    static constexpr std::array<std::string_view, 26> symbols = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* found =
        std::find_if(symbols.begin(), symbols.end(), [&](std::string_view s) { return here(s); });
    if (found == symbols.end()) {
      size_t next = at_;
      next_character(source_, next);
      problem(fmt::format("unexpected character '{}'", source_.substr(at_, next - at_)), at_);
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') open_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open_.empty()) problem(fmt::format("unexpected '{}'", c), at_);
      if (open_.back() != c) problem(fmt::format("unexpected '{}', expected '{}'", c, open_.back()), at_);
      open_.pop_back();
    }
    add(TokenKind::symbol, std::string(*found), at_);
    at_ += found->size();
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starting_ = true;  ///< the last tag, with what it took, ended a line
  std::string open_;           ///< what closes the brackets that are open, innermost last
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalised_source(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      result += source[i];
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

Position position_of(std::string_view source, size_t offset) {
  Position position;
  for (size_t i = 0; i < std::min(offset, source.size()); ++i) {
    if (source[i] == '\n') {
      ++position.line;
      position.column = 1;
    } else if ((static_cast<unsigned char>(source[i]) & 0xC0) != 0x80) {
      ++position.column;
    }
  }
  return position;
}

std::vector<Token> tokens_of(std::string_view source) {
  return Lexer(source).tokens();
}

}  // namespace lowrank::jinja
