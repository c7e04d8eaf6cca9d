#include "tokenizer/steps/bert_text.h"

#include <algorithm>
#include <utility>

#include <unicode/uchar.h>

#include "tokenizer/steps/unicode_text.h"

namespace lowrank {
namespace {

// The reference uses the categories of Unicode 8. Characters whose category has changed since are listed.

bool is_control(UChar32 character) {
  static const icu::UnicodeSet set =
      character_set("[[[[:Cf:]&[:Age=8.0:]][:Co:][:Cc:][\\uFFFD]]-[\\t\\n\\r]]");
  return set.contains(character) != 0;
}

bool is_punctuation(UChar32 character) {
  static const icu::UnicodeSet set = character_set(
      "[[[:P:]&[:Age=8.0:]][\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E]"
      "\\u166D\\U000111C9]");
  return set.contains(character) != 0;
}

const icu::UnicodeSet& accents() {
  static const icu::UnicodeSet set =
      character_set("[[[[:Mn:]&[:Age=8.0:]][\\u1734]]-[\\u1885\\u1886\\U000111C9]]");
  return set;
}

bool is_chinese(UChar32 character) {
  constexpr std::pair<UChar32, UChar32> ranges[] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},  {0x20000, 0x2A6DF},
      {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(
      ranges, [&](const auto& range) { return character >= range.first && character <= range.second; });
}

std::string cleaned(std::string_view text) {
  std::string clean;
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    if (is_control(character)) return;
    u_isUWhiteSpace(character) != 0 ? clean += ' ' : clean += bytes;
  });
  return clean;
}

std::string with_spaces_around_chinese(std::string_view text) {
  std::string spaced;
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    const std::string_view around = is_chinese(character) ? " " : "";
    spaced.append(around).append(bytes).append(around);
  });
  return spaced;
}

}  // namespace

std::string bert_normalised(std::string_view text, const BertNormalizer& options) {
  std::string normalised(text);
  if (options.clean_text) normalised = cleaned(normalised);
  const bool ascii = std::ranges::all_of(normalised, [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  if (options.handle_chinese_chars && !ascii) normalised = with_spaces_around_chinese(normalised);
  if (options.strip_accents && !ascii)
    normalised = without(normal_form(normalised, TextForm::nfd), accents());
  if (options.lowercase) normalised = lowercase(normalised);
  return normalised;
}

void bert_split(std::string_view text, const std::function<void(std::string_view)>& piece) {
  size_t begin = 0;
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    const bool space = u_isUWhiteSpace(character) != 0;
    if (!space && !is_punctuation(character)) return;
    const auto at = static_cast<size_t>(bytes.data() - text.data());
    if (at > begin) piece(text.substr(begin, at - begin));
    if (!space) piece(bytes);
    begin = at + bytes.size();
  });
  if (begin < text.size()) piece(text.substr(begin));
}

}  // namespace lowrank
