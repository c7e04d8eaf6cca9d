#include "tokenizer/steps/oniguruma.h"

#include <optional>

#include "base/error.h"
#include "tokenizer/core/tokenizer_spec.h"
#include "tokenizer/steps/new_characters.h"

namespace lowrank {
namespace {

/// Unicode's White_Space.
constexpr std::string_view spaces =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
/// Letters by a property other than their category (symbols with Other_Alphabetic).
constexpr std::string_view alphabetic_symbols =
    R"(\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

/// A property's members, for a character class: PCRE2's own and those of newer Unicode versions.
std::string members_of(std::string_view property) {
  std::string members = fmt::format("\\p{{{}}}", property);
  for (const CharacterRange& range : new_characters()) {
    if (range.category.starts_with(property))
      members += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", range.first, range.last);
  }
  return members;
}

std::string word_members() {
  std::string members(alphabetic_symbols);
  for (const char* property : {"L", "M", "Nd", "Nl", "Pc"}) members += members_of(property);
  return members;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_ && c == '&' && pattern_.substr(at_).starts_with("&&")) {
        unsupported("an intersection of classes");
      } else {
        if (c == '[') in_class_ = true;
        // "[]" and "[^]" begin with a literal bracket.
        const bool first = at_ > 0 && (pattern_[at_ - 1] == '[' || pattern_.substr(0, at_).ends_with("[^"));
        if (c == ']' && !first) in_class_ = false;
        out_ += c;
        ++at_;
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(ErrorKind::unsupported, "{}: the pre-tokenizer's pattern {} has {}, which is not supported", where_,
         pattern_, what);
  }

  void put(const std::string& members, bool negated) {
    if (in_class_ && negated) unsupported("a negated property in a class");
    out_ += in_class_ ? members : fmt::format("[{}{}]", negated ? "^" : "", members);
  }

  void escape() {
    check(at_ + 1 < pattern_.size(), ErrorKind::invalid,
          "{}: the pre-tokenizer's pattern {} ends in a backslash", where_, pattern_);
    const char c = pattern_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 's':
      case 'S':
        return put(std::string(spaces), c == 'S');
      case 'w':
      case 'W':
        return put(word_members(), c == 'W');
      case 'd':
      case 'D':
        return put(members_of("Nd"), c == 'D');
      case 'h':
      case 'H':
        return put("0-9A-Fa-f", c == 'H');
      case 'p':
      case 'P':
        return property(c == 'P');
      default:
        out_ += {'\\', c};
    }
  }

  void property(bool negated) {
    const size_t end = pattern_.find('}', at_);
    check(at_ < pattern_.size() && pattern_[at_] == '{' && end != std::string_view::npos, ErrorKind::invalid,
          "{}: the pre-tokenizer's pattern {} has a property without braces", where_, pattern_);
    std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    put(members_of(name), negated);
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string gpt2_pattern() {
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

std::string digit_pattern() {
  return R"(\p{N})";
}

std::string from_oniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain =
        static_cast<uint8_t>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) != 0 || c == ' ';
    pattern += plain ? std::string(1, c) : fmt::format("\\x{{{:02X}}}", static_cast<unsigned char>(c));
  }
  return pattern;
}

}  // namespace lowrank
