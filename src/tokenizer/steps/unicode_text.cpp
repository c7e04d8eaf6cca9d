#include "tokenizer/steps/unicode_text.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "base/error.h"

namespace lowrank {

icu::UnicodeSet character_set(const char* notation) {
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeSet set(icu::UnicodeString(notation), status);
  check(U_SUCCESS(status) != 0, ErrorKind::invalid, "ICU does not read the set {} ({})", notation,
        u_errorName(status));
  set.freeze();
  return set;
}

std::string without(std::string_view text, const icu::UnicodeSet& set) {
  std::string kept;
  kept.reserve(text.size());
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    if (!set.contains(character)) kept += bytes;
  });
  return kept;
}

std::string lowercase(std::string_view text) {
  constexpr UChar32 dotted_capital_i = 0x130;  // the only one that becomes two characters
  std::string lower;
  lower.reserve(text.size());
  each_character(text, [&](UChar32 character, std::string_view bytes) {
    const UChar32 small = u_tolower(character);
    if (character == dotted_capital_i) {
      lower += "i\u0307";
    } else if (small == character) {
      lower += bytes;
    } else {
      char encoded[U8_MAX_LENGTH];
      int32_t length = 0;
      U8_APPEND_UNSAFE(encoded, length, small);
      lower.append(encoded, static_cast<size_t>(length));
    }
  });
  return lower;
}

std::string normal_form(std::string_view text, TextForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case TextForm::nfd:
      normalizer = icu::Normalizer2::getNFDInstance(status);
      break;
    case TextForm::nfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(status);
      break;
    case TextForm::nfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(status);
      break;
    default:
      normalizer = icu::Normalizer2::getNFCInstance(status);
  }
  std::string normalised;
  icu::StringByteSink<std::string> sink(&normalised);
  if (U_SUCCESS(status)) {
    normalizer->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink,
                              nullptr, status);
  }
  check(U_SUCCESS(status) != 0, ErrorKind::invalid, "the text cannot be normalised ({})",
        u_errorName(status));
  return normalised;
}

}  // namespace lowrank
