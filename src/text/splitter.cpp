#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/splitter.h"

#include <pcre2.h>

#include "base/error.h"
#include "text/tokenizer_spec.h"

namespace lowrank {
namespace {

/// Unicode's White_Space, which Oniguruma's \s means.
constexpr const char* spaces =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

}  // namespace

std::string gpt2_pattern() {
  return fmt::format(
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^{0}\p{{L}}\p{{N}}]+|[{0}]+(?![^{0}])|[{0}]+)",
      spaces);
}

std::string digit_pattern() {
  return R"(\p{N})";
}

struct Splitter::Pattern {
  explicit Pattern(pcre2_code* compiled) : code(compiled, pcre2_code_free) {}
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code;
};

/// Room for one pattern's matches, made once a text.
struct Splitter::Match {
  explicit Match(const Pattern& pattern)
      : data(pcre2_match_data_create_from_pattern(pattern.code.get(), nullptr), pcre2_match_data_free) {}
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data;
};

Splitter::Splitter(const std::vector<std::string>& patterns, const std::string& where) {
  for (const std::string& pattern : patterns) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &offset, nullptr);
    check(code != nullptr, ErrorKind::invalid,
          "{}: the pre-tokenizer's pattern does not compile at character {}: {}", where, offset, pattern);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    patterns_.push_back(std::make_shared<const Pattern>(code));
  }
}

void Splitter::split(std::string_view text, const std::function<void(std::string_view)>& piece) const {
  std::vector<Match> matches;
  for (const auto& pattern : patterns_) matches.emplace_back(*pattern);
  split_by(0, text, matches, piece);
}

void Splitter::split_by(size_t index, std::string_view text, std::span<Match> matches,
                        const std::function<void(std::string_view)>& piece) const {
  if (text.empty()) return;
  if (index == patterns_.size()) return piece(text);
  pcre2_match_data* match = matches[index].data.get();
  size_t done = 0;
  while (done < text.size()) {
    const int found = pcre2_match(patterns_[index]->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), done, PCRE2_NO_UTF_CHECK, match, nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    check(found > 0, ErrorKind::invalid, "the text cannot be split into words at byte {} (PCRE2 error {})",
          done, found);
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
    const size_t begin = range[0];
    const size_t end = range[1];
    if (end == begin) break;
    split_by(index + 1, text.substr(done, begin - done), matches, piece);
    split_by(index + 1, text.substr(begin, end - begin), matches, piece);
    done = end;
  }
  split_by(index + 1, text.substr(done), matches, piece);
}

}  // namespace lowrank
