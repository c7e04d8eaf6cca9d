#include "tokenizer/steps/precompiled.h"

#include <memory>

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include "base/error.h"
#include "tokenizer/steps/unicode_text.h"

namespace lowrank {
namespace {

/// Graphemes of this many bytes and more are not replaced as a whole.
constexpr size_t long_grapheme = 6;

void check_icu(UErrorCode status) {
  check(U_SUCCESS(status) != 0, ErrorKind::invalid, "the text cannot be divided into graphemes ({})",
        u_errorName(status));
}

/// Making an iterator reads ICU's rules; copying one is cheap.
std::unique_ptr<icu::BreakIterator> grapheme_iterator() {
  static const std::unique_ptr<const icu::BreakIterator> prototype = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(
        icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
    check_icu(status);
    return made;
  }();
  return std::unique_ptr<icu::BreakIterator>(prototype->clone());
}

class Replacer {
 public:
  explicit Replacer(const Charsmap& map) : map_(map) {}

  /// A stretch of text that begins and ends between graphemes.
  void add(std::string_view text) {
    if (text.size() == 1) return add_grapheme(text);
    if (!iterator_) iterator_ = grapheme_iterator();
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<UText, decltype(&utext_close)> source(
        utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status), utext_close);
    iterator_->setText(source.get(), status);
    check_icu(status);
    int32_t begin = iterator_->first();
    for (int32_t end = 0; (end = iterator_->next()) != icu::BreakIterator::DONE; begin = end)
      add_grapheme(text.substr(begin, end - begin));
  }

  std::string result;

 private:
  void add_grapheme(std::string_view grapheme) {
    if (grapheme.size() < long_grapheme) {
      if (const auto replacement = map_.find(grapheme)) {
        result += *replacement;
        return;
      }
    }
    each_character(grapheme, [&](UChar32, std::string_view character) {
      result += map_.find(character).value_or(character);
    });
  }

  const Charsmap& map_;
  std::unique_ptr<icu::BreakIterator> iterator_;
};

bool is_ascii(char c) {
  return static_cast<uint8_t>(c) < 0x80;
}

}  // namespace

std::string precompiled(std::string_view text, const Charsmap& map) {
  Replacer replacer(map);
  replacer.result.reserve(text.size());
  // Between two ASCII characters a grapheme always ends, except within a line end.
  size_t begin = 0;
  for (size_t i = 1; i <= text.size(); ++i) {
    const bool ends = i == text.size() || (is_ascii(text[i - 1]) && is_ascii(text[i]) &&
                                           !(text[i - 1] == '\r' && text[i] == '\n'));
    if (!ends) continue;
    replacer.add(text.substr(begin, i - begin));
    begin = i;
  }
  return std::move(replacer.result);
}

}  // namespace lowrank
